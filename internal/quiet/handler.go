package quiet

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
)

// Handler writes lines to the handler of s, as far as they are few. What a line is
// about is its first attribute that does not name one request or error.
func (s *Storms) Handler() slog.Handler { return handler{s, s.out} }

type handler struct {
	storms *Storms
	out    slog.Handler
}

// Enabled implements slog.Handler.
func (h handler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.out.Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (h handler) Handle(ctx context.Context, r slog.Record) error {
	switch h.storms.Take(r.Level, kindOf(&r)) {
	case Counted:
		return nil
	case Last:
		r = r.Clone()
		r.AddAttrs(further())
	}
	return h.out.Handle(ctx, r)
}

// further is what the last line before a storm has beside its own attributes.
func further() slog.Attr { return slog.String("further", "counted") }

// WithAttrs implements slog.Handler.
func (h handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return handler{h.storms, h.out.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (h handler) WithGroup(name string) slog.Handler { return handler{h.storms, h.out.WithGroup(name)} }

// kindOf is what a line is alike in with others.
func kindOf(r *slog.Record) Kind {
	k := Kind{What: r.Message}
	r.Attrs(func(a slog.Attr) bool {
		switch a.Key {
		case "request", "request_id", "record", "id", "err", "error", "text":
			return true
		}
		k.Whose = fmt.Sprint(a.Value.Any())
		return false
	})
	return k
}

// Lines writes lines of a library that knows no slog, each by one Write, as standard
// library's log does.
func Lines(log *slog.Logger, library string) io.Writer { return lines{log, library} }

type lines struct {
	log     *slog.Logger
	library string
}

// Write implements io.Writer.
func (l lines) Write(p []byte) (int, error) {
	l.log.Warn("library", "of", l.library, "text", strings.TrimSpace(string(p)))
	return len(p), nil
}

// Log writes a line that its caller has formed without package slog, when it is to be
// written; attrs is called only then.
func (s *Storms) Log(level slog.Level, k Kind, attrs func() []slog.Attr) {
	s.LogMany(level, k, 1, attrs)
}

// LogMany is Log of a line that stands for n alike.
func (s *Storms) LogMany(level slog.Level, k Kind, n int64, attrs func() []slog.Attr) {
	v := s.take(level, k, n)
	if v == Counted {
		return
	}
	r := slog.NewRecord(s.now(), level, k.What, 0)
	r.AddAttrs(attrs()...)
	if v == Last {
		r.AddAttrs(further())
	}
	s.write([]slog.Record{r})
}
