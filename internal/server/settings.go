package server

import (
	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/network"
	"github.com/sluice-gateway/sluice/internal/server/crowd"
)

// Settings are what a running server can be given anew. Connections that are open keep
// some of the time-outs that they began with.
type Settings struct {
	TLS      *config.TLS // nil: cleartext; Use does not change between the two
	Timeouts config.Timeouts
	Limits   config.EdgeLimits
	Proxies  network.Set // that may say who calls
}

func crowdLimits(l *config.EdgeLimits) crowd.Limits {
	return crowd.Limits{All: l.MaxConnections, Unproven: l.MaxUnprovenConnections, PerAddress: l.MaxConnectionsPerAddress}
}

// Use makes settings those of the connections and requests that come from now on, but
// for the time-out of idle connections. It fails, and changes nothing, when the
// certificate cannot be read.
func (s *Server) Use(next Settings) error {
	if s.certs != nil && next.TLS != nil {
		if err := s.certs.use(*next.TLS); err != nil {
			return err
		}
	}
	before := s.settings.Load()
	next.Timeouts.KeepAlive = before.Timeouts.KeepAlive // that of HTTP/2 is read when its server begins
	s.settings.Store(&next)
	s.pool.Resize(s.poolLimits())
	s.crowd.Limit(crowdLimits(&next.Limits))
	s.shed.Limit(next.Limits.MaxQueueDelay)
	if before.Timeouts != next.Timeouts || before.Limits != next.Limits {
		s.h1.use()
	}
	return nil
}

// Limit is one that no configuration changes.
type Limit struct {
	Name  string
	Value int
}

// FixedLimits are those that the protocols need and nobody has to set.
func FixedLimits() []Limit {
	return []Limit{
		{"bytes of a head", maxHeaderBytes},
		{"fields of a head", maxHeaderFields},
		{"bytes of a target", maxTargetBytes},
		{"bytes of an unread body that keep a connection", unreadLimit},
		{"least bytes per second of a body", slowestBytesPerSecond},
		{"streams of an HTTP/2 connection", streamsPerConnection},
		{"failed credentials in a row, HTTP/1.1", failuresHTTP1},
		{"failed credentials in a row, HTTP/2", failuresHTTP2},
	}
}
