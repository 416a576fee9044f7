package session

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/money"
	"github.com/sluice-gateway/sluice/internal/wire"
)

func TestFind(t *testing.T) {
	f := func(want ID, metadata string, fields ...string) {
		t.Helper()
		var h wire.Header
		for i := 0; i < len(fields); i += 2 {
			h = append(h, wire.Field{Name: fields[i], Value: fields[i+1]})
		}
		got := Find(h, func(key string) string {
			if key == MetadataKey {
				return metadata
			}
			return ""
		})
		if got != want {
			t.Errorf("%v: %+v, want %+v", fields, got, want)
		}
	}
	f(ID{}, "")
	f(ID{"m", MetadataKey}, "m")
	f(ID{"c", "X-Claude-Code-Session-Id"}, "m", "x-claude-code-session-id", "c")
	f(ID{"x", "Session_id"}, "m", "session_id", "x")
	f(ID{"s", Header}, "m", "x-claude-code-session-id", "c", "X-Sluice-Session", "s")
}

func TestCheck(t *testing.T) {
	for text, bad := range map[string]bool{
		"a": false, strings.Repeat("a", MaxID): false, strings.Repeat("a", MaxID+1): true, "a b": true, "ü": true,
		"a\x7f": true,
	} {
		id := ID{text, Header}
		if err := id.Check(); (err != nil) != bad {
			t.Errorf("%q: %v", text, err)
		}
		if label := id.Label(); len(label) > longestLabel || !visible(label) {
			t.Errorf("%q is called %q", text, label)
		}
	}
}

// bodies are agents' requests whose last tool call is of one tool with the same arguments.
var bodies = map[wire.Operation]func(path string) string{
	wire.OpConverse: func(path string) string {
		return fmt.Sprintf(`{"messages":[{"role":"user","content":[{"text":"hi"}]},
			{"role":"assistant","content":[{"text":"I"},{"toolUse":{"toolUseId":"%d","name":"read","input":{"path":%q}}}]},
			{"role":"user","content":[{"toolResult":{"toolUseId":"1","content":[{"text":"no"}]}}]}],
			"toolConfig":{"tools":[{"toolSpec":{"name":"read","inputSchema":{"json":{}}}}]}}`, time.Now().UnixNano(), path)
	},
	wire.OpMessages: func(path string) string {
		return fmt.Sprintf(`{"model":"claude","max_tokens":5,"messages":[{"role":"user","content":"hi"},
			{"role":"assistant","content":[{"type":"tool_use","id":"%d","name":"read","input":{"path":%q}}]},
			{"role":"user","content":[{"type":"tool_result","tool_use_id":"1","content":"no"}]}],
			"tools":[{"name":"read","input_schema":{}}]}`, time.Now().UnixNano(), path)
	},
	wire.OpChat: func(path string) string {
		return fmt.Sprintf(`{"model":"m","messages":[{"role":"user","content":"hi"},
			{"role":"assistant","tool_calls":[{"id":"%d","type":"function","function":{"name":"read","arguments":%q}}]},
			{"role":"tool","tool_call_id":"1","content":"no"}],
			"tools":[{"type":"function","function":{"name":"read"}}]}`, time.Now().UnixNano(), path)
	},
}

func TestLastCalls(t *testing.T) {
	for op, body := range bodies {
		sum := func(text string) uint64 {
			var f wire.Facts
			if err := f.Read(op, nil, []byte(text)); err != nil {
				t.Fatalf("%s: %v", op, err)
			}
			return LastCalls(&f, []byte(text))
		}
		a, again, b := sum(body("a.go")), sum(body("a.go")), sum(body("b.go"))
		if a == 0 || a != again || a == b {
			t.Errorf("%s: %x, %x and %x", op, a, again, b)
		}
	}
	var f wire.Facts
	text := []byte(`{"messages":[{"role":"user","content":[{"text":"hi"}]}]}`)
	if f.Read(wire.OpConverse, nil, text) != nil || LastCalls(&f, text) != 0 {
		t.Error("calls where there are none")
	}
}

var t0 = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)

func TestSignals(t *testing.T) {
	loop := config.Loop{Repeats: 3, USDPerMinute: money.Dollar, Growth: 4}
	budget := &config.SessionBudget{Within: time.Hour, Loop: loop}
	key := Key{"acme", "s"}
	var table Table
	f := func(want Signal, c Call, at time.Duration) {
		t.Helper()
		if got, ok := table.Open(key, c, budget, t0.Add(at)); got != want || !ok {
			t.Errorf("%+v: %q, want %q", c, got, want)
		}
	}
	f("", Call{Turns: 1, Context: 100}, 0)
	f("", Call{Turns: 3, Tools: 7, Context: 200}, time.Second)
	f("", Call{Turns: 3, Tools: 7, Context: 200}, 2*time.Second) // sent again
	f("", Call{Turns: 5, Tools: 7, Context: 200}, 3*time.Second)
	f(SameTool, Call{Turns: 7, Tools: 7, Context: 200}, 4*time.Second)
	f("", Call{Turns: 9, Tools: 8, Context: 399}, 5*time.Second)
	f(Growth, Call{Turns: 11, Tools: 9, Context: 400}, 6*time.Second)
	table.Spent(key, money.Dollar+1, t0.Add(7*time.Second))
	f(Velocity, Call{Turns: 13, Context: 100}, 8*time.Second)
	f(Velocity, Call{Turns: 13, Context: 100}, 60*time.Second)
	f("", Call{Turns: 13, Context: 100}, 90*time.Second) // half of it is longer ago than a minute
	table.Spent(Key{"acme", "other"}, 9*money.Dollar, t0.Add(91*time.Second))
	f("", Call{Turns: 13, Context: 100}, 92*time.Second)
	f("", Call{Turns: 1, Context: 100}, 24*time.Hour)
}

// TestTableIsBounded: no tenant opens more sessions than it may, until idle ones are forgotten.
func TestTableIsBounded(t *testing.T) {
	budget := &config.SessionBudget{Within: time.Hour}
	var table Table
	open := func(tenant string, i int, at time.Time) bool {
		_, ok := table.Open(Key{tenant, fmt.Sprint(i)}, Call{}, budget, at)
		return ok
	}
	for i := range maxTenant {
		if !open("acme", i, t0) {
			t.Fatalf("no room for session %d", i)
		}
	}
	if open("acme", maxTenant, t0) || !open("acme", 5, t0) || !open("beta", 1, t0) {
		t.Error("a new one fits, or one that is open or of another tenant does not")
	}
	if table.Len() != maxTenant+1 {
		t.Errorf("%d are open", table.Len())
	}
	if !open("acme", maxTenant, t0.Add(time.Hour)) || table.Len() != 1 {
		t.Errorf("%d are open after an hour", table.Len())
	}
}
