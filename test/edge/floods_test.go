package edge

import (
	"bytes"
	"context"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/sluice-gateway/sluice/test/harness"
)

// flooder is one connection of an attacker.
type flooder struct {
	*http2.Framer
	encoder *hpack.Encoder
	block   bytes.Buffer
	stream  uint32
	began   bool
}

// head is a header block, of a request without a credential and what else is given.
func (f *flooder) head(more ...string) []byte {
	f.block.Reset()
	fields := append([]string{":method", "POST", ":scheme", "http", ":authority", "a", ":path", askTarget}, more...)
	for i := 0; i < len(fields); i += 2 {
		f.encoder.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return bytes.Clone(f.block.Bytes())
}

// open begins a stream, whose body may follow.
func (f *flooder) open(block []byte, end bool) error {
	f.stream += 2
	return f.WriteHeaders(http2.HeadersFrameParam{
		StreamID: f.stream - 1, BlockFragment: block, EndHeaders: true, EndStream: end,
	})
}

// floods are the nine of E5, each a step of one connection.
var floods = []struct {
	name string
	step func(f *flooder) error
}{
	{"hpack", func(f *flooder) error {
		block := append(f.head("x-big", strings.Repeat("b", 3900)), bytes.Repeat([]byte{0xbe}, 12000)...)
		return f.open(block, true)
	}},
	{"MadeYouReset", func(f *flooder) error {
		if err := f.open(f.head(), false); err != nil {
			return err
		}
		return f.WriteRawFrame(http2.FrameWindowUpdate, 0, f.stream-1, []byte{0, 0, 0, 0})
	}},
	{"reset-open", func(f *flooder) error {
		if err := f.open(f.head(), false); err != nil {
			return err
		}
		return f.WriteRSTStream(f.stream-1, http2.ErrCodeCancel)
	}},
	{"open streams", func(f *flooder) error { return f.open(f.head(), false) }},
	{"rapid reset", func(f *flooder) error {
		if err := f.open(f.head(), true); err != nil {
			return err
		}
		return f.WriteRSTStream(f.stream-1, http2.ErrCodeCancel)
	}},
	{"priority", func(f *flooder) error {
		f.stream += 2
		return f.WritePriority(f.stream-1, http2.PriorityParam{Weight: 3})
	}},
	{"empty CONTINUATION", func(f *flooder) error {
		if !f.began {
			f.began = true
			return f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: f.head()})
		}
		return f.WriteContinuation(1, false, nil)
	}},
	{"ping", func(f *flooder) error { return f.WritePing(false, [8]byte{}) }},
	{"empty DATA", func(f *flooder) error {
		if !f.began {
			f.began = true
			return f.open(f.head(), false)
		}
		return f.WriteData(1, false, nil)
	}},
}

// reconnect attacks with one connection after the other until stop.
func reconnect(addr string, step func(f *flooder) error, stop *atomic.Bool, connections *atomic.Int64) {
	for !stop.Load() {
		c, err := from(attacker).Dial("tcp", addr)
		if err != nil {
			time.Sleep(time.Millisecond)
			continue
		}
		connections.Add(1)
		closed := make(chan struct{})
		go func() { io.Copy(io.Discard, c); close(closed) }()
		io.WriteString(c, http2.ClientPreface)
		f := &flooder{Framer: http2.NewFramer(c, strings.NewReader(""))}
		f.encoder = hpack.NewEncoder(&f.block)
		f.AllowIllegalWrites = true
		f.WriteSettings()
		for !stop.Load() && step(f) == nil {
			select {
			case <-closed:
				c.Close()
			default:
			}
		}
		c.Close()
		<-closed
	}
}

// nineFloods is E5.
func nineFloods() row {
	return row{
		name: "E5 floods",
		goal: "nine reconnecting floods",
		must: "neighbour keeps ≥ 80 % of its throughput, ≤ 10 log lines a minute",
		run: func(t *testing.T, m *measured) {
			worst := 200.0
			for _, attack := range floods {
				t.Run(attack.name, func(t *testing.T) {
					kept, lines := underFlood(t, m, attack.step)
					worst = min(worst, kept)
					m.note("%s %.0f %%", attack.name, kept)
					if m.whole && kept < 80 { // a part is too short to tell on a busy machine
						t.Errorf("the neighbour keeps %.0f %%", kept)
					}
					if lines > 10 {
						t.Errorf("%d lines in the log", lines)
					}
				})
			}
			m.note("worst %.0f %%", worst)
		},
	}
}

// underFlood measures what a neighbour keeps of its throughput, in turns with and without
// the flood, and how many lines are logged.
func underFlood(t *testing.T, m *measured, step func(f *flooder) error) (kept float64, lines int) {
	g, _, key := plain(t)
	logged := strings.Count(g.Log.String(), "\n")
	var calm, attacked float64
	for range m.of(3, 1) {
		calm += throughput(t, m, g, key)
		var stop atomic.Bool
		var connections atomic.Int64
		var wg sync.WaitGroup
		wg.Go(func() { reconnect(g.Addr, step, &stop, &connections) })
		time.Sleep(time.Duration(m.of(500, 100)) * time.Millisecond)
		attacked += throughput(t, m, g, key)
		stop.Store(true)
		wg.Wait()
		t.Logf("%d connections of the attacker", connections.Load())
	}
	return 100 * attacked / calm, strings.Count(g.Log.String(), "\n") - logged
}

// throughput is how many requests four good callers get answered in a second. All of
// them must be.
func throughput(t *testing.T, m *measured, g *harness.Gateway, key harness.Key) float64 {
	t.Helper()
	length := time.Duration(m.of(1500, 150)) * time.Millisecond
	ctx, cancel := context.WithTimeout(t.Context(), length)
	defer cancel()
	var answered atomic.Int64
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			c := callerFrom(t, neighbour)
			defer c.CloseIdleConnections()
			for ctx.Err() == nil {
				if err := call(c, g, key); err != nil {
					t.Errorf("a good caller: %v", err)
					return
				}
				answered.Add(1)
			}
		})
	}
	wg.Wait()
	return float64(answered.Load()) / length.Seconds()
}
