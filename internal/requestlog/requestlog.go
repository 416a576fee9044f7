// Package requestlog writes what operators read of single requests: a line for each one
// that was refused or failed, as far as they are few (package quiet), and the access
// log of all, which is off by default (docs/format/access-log.md).
//
// Nothing that it writes has prompts, answers or secrets, and no request waits for it.
package requestlog

import (
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/internal/quiet"
	"github.com/sluice-gateway/sluice/internal/telemetry"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// Log gets what is known of requests when they are over. Storms must be set.
type Log struct {
	Storms *quiet.Storms
	Access *Access            // nil: off
	Counts *telemetry.Metrics // nil: nothing is counted
}

// Wants reports whether a request that ended so is to be given to Ended: one that went
// well is only when there is an access log.
func (l *Log) Wants(status int, refused *wire.Error) bool {
	return status >= http.StatusBadRequest || refused != nil || l.Access != nil
}

// Ended takes a request that is over.
func (l *Log) Ended(e telemetry.RequestEnd) { //nolint:gocritic // a pointer to it would be an allocation at the caller
	if l.Access != nil {
		l.Access.add(&e)
	}
	switch {
	case e.Refusal != nil && e.Tenant == "" && authenticates(e.Refusal.Kind):
		l.unauthenticated(&e)
	case e.Refusal != nil:
		l.refused(&e)
	case e.Status >= http.StatusBadRequest:
		l.upstreamError(&e)
	}
}

// authenticates reports whether an error is about who the caller is.
func authenticates(k wire.Kind) bool {
	switch k {
	case wire.KindAccessDenied, wire.KindUnrecognizedClient, wire.KindInvalidSignature, wire.KindMissingAuthentication:
		return true
	}
	return false
}

// unauthenticated writes the audit line of a failed authentication. Those of one key, or
// from one address without a key, are of one kind.
func (l *Log) unauthenticated(e *telemetry.RequestEnd) {
	l.Counts.AuthenticationFailed(e.Error)
	kind := quiet.Kind{What: "authentication failed", Type: e.Error, Whose: strings.Clone(e.Claimed)}
	if kind.Whose == "" {
		kind.Whose = address(e.From)
	}
	l.Storms.Log(slog.LevelWarn, kind, func() []slog.Attr {
		return present(
			slog.String("audit", "authentication"), slog.String("request", e.ID), slog.String("from", address(e.From)),
			slog.String("key", e.Claimed), slog.String("type", e.Error), slog.String("message", e.Refusal.Message),
		)
	})
}

// AdminRefused writes the audit line of a credential that the admin port did not take.
func (l *Log) AdminRefused(from netip.Addr, at string) {
	kind := quiet.Kind{What: "authentication failed", Type: "AdminPort", Whose: address(from)}
	l.Counts.AuthenticationFailed(kind.Type)
	l.Storms.Log(slog.LevelWarn, kind, func() []slog.Attr {
		return []slog.Attr{
			slog.String("audit", "authentication"), slog.String("from", kind.Whose), slog.String("type", kind.Type),
			slog.String("message", at),
		}
	})
}

// refused writes the line of a request that the gateway answered itself. Those that are
// the gateway's own failure are of one kind for all tenants.
func (l *Log) refused(e *telemetry.RequestEnd) {
	kind := quiet.Kind{What: "request refused", Type: e.Error, Whose: e.Tenant}
	if e.Refusal.Status() >= http.StatusInternalServerError || e.Status < http.StatusBadRequest {
		kind = quiet.Kind{What: "request failed", Type: e.Error, Whose: strings.ReplaceAll(e.Refusal.Message, e.ID, "ID")}
	}
	l.Storms.Log(slog.LevelWarn, kind, func() []slog.Attr {
		attrs := append(about(e), slog.String("message", e.Refusal.Message))
		if e.Refusal.Cause != nil {
			attrs = append(attrs, slog.String("err", e.Refusal.Cause.Error()))
		}
		return present(attrs...)
	})
}

// upstreamError writes the line of a request to which the upstream's error was passed
// on. What that says is the caller's, and may quote the request.
func (l *Log) upstreamError(e *telemetry.RequestEnd) {
	kind := quiet.Kind{What: "upstream answered with an error", Type: e.Error, Whose: e.Tenant}
	l.Storms.Log(slog.LevelWarn, kind, func() []slog.Attr {
		return present(append(about(e), slog.String("upstream_request", e.UpstreamID))...)
	})
}

func about(e *telemetry.RequestEnd) []slog.Attr {
	return []slog.Attr{
		slog.String("request", e.ID), slog.String("tenant", e.Tenant), slog.String("key", e.Key),
		slog.String("type", e.Error), slog.Int("status", e.Status), slog.String("operation", e.Operation),
		slog.String("model", e.Asked), slog.String("served", e.Served), slog.String("reason", e.Reason),
	}
}

// Edge takes a request that was refused at a moment before it reached the request line.
func (l *Log) Edge(id string, from netip.Addr, e *wire.Error, at time.Time) {
	l.Shed(id, from, e, 0, at)
}

// Shed takes a request that was refused because there were too many, and how many more were that
// are not listed.
func (l *Log) Shed(id string, from netip.Addr, e *wire.Error, more int64, at time.Time) {
	l.Counts.Refusals(e.Status(), 1+more)
	kind := quiet.Kind{What: "request refused", Type: e.Type(), Whose: address(from)}
	l.Storms.LogMany(slog.LevelWarn, kind, 1+more, func() []slog.Attr {
		attrs := present(
			slog.String("request", id), slog.String("from", address(from)), slog.String("type", e.Type()),
			slog.Int("status", e.Status()), slog.String("message", e.Message),
		)
		if more > 0 {
			attrs = append(attrs, slog.Int64("more", more))
		}
		return attrs
	})
	if l.Access != nil {
		l.Access.add(&telemetry.RequestEnd{ID: id, From: from, Status: e.Status(), Error: e.Type(), Refusal: e, Received: at})
		l.Counts.AccessDropped(int(more))
	}
}

// present leaves out attributes that are empty.
func present(attrs ...slog.Attr) []slog.Attr {
	kept := attrs[:0]
	for _, a := range attrs {
		if a.Value.Kind() != slog.KindString || a.Value.String() != "" {
			kept = append(kept, a)
		}
	}
	return kept
}

func address(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}
