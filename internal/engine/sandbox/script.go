package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/sluice-gateway/sluice/internal/glob"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// Script defines how the stand-in answers. The first rule that matches a call wins;
// a call that none matches gets the canned answer. The zero value has no rules.
type Script struct {
	Rules []Rule `yaml:"rules"`
}

// Rule is one line of a script. Its parts may be combined; Error comes before
// Answer and Fault.
type Rule struct {
	Match Match `yaml:"match"`
	// Times is how many matching calls the rule applies to; 0 is all.
	Times int `yaml:"times"`
	// Room is what capacity serves in a second; what matches beyond it is throttled. The zero value is any number.
	Room   Room        `yaml:"room"`
	Error  *ErrorReply `yaml:"error"`
	Answer Answer      `yaml:"answer"`
	Delay  Delay       `yaml:"delay"`
	Fault  Fault       `yaml:"fault"`
}

// Room bounds the calls that capacity serves in each second of the stand-in's clock.
type Room struct {
	Requests int `yaml:"requests"`
}

// Match is a condition on a call; all that is set must match.
type Match struct {
	Model     string `yaml:"model"`     // glob on the model id as it was asked for
	Text      string `yaml:"text"`      // substring of the last user text
	Operation string `yaml:"operation"` // wire.Operation's name
	Tier      string `yaml:"tier"`      // service tier that the call asks for; default is none, too
	Every     int    `yaml:"every"`     // only each n-th call that matches otherwise
}

// ErrorReply is an answer with an error status.
type ErrorReply struct {
	Status  int    `yaml:"status"`
	Type    string `yaml:"type"`
	Message string `yaml:"message"`
}

// Answer replaces parts of the canned answer. What is absent stays as it is: the
// canned text, counts by length, end_turn. Counts are in tokens.
type Answer struct {
	Text               string `yaml:"text"`
	InputTokens        *int64 `yaml:"input_tokens"` // without cached tokens
	OutputTokens       *int64 `yaml:"output_tokens"`
	CacheReadTokens    int64  `yaml:"cache_read_tokens"`
	CacheWriteTokens   int64  `yaml:"cache_write_tokens"`    // with a lifetime of five minutes
	CacheWrite1hTokens int64  `yaml:"cache_write_1h_tokens"` // with a lifetime of an hour
	// StopReason is one of Converse's; families that have other words get theirs.
	StopReason string `yaml:"stop_reason"`
	Tool       *Tool  `yaml:"tool"`
}

// Tool is a tool that the answer asks the client to call.
type Tool struct {
	Name  string         `yaml:"name"`
	Input map[string]any `yaml:"input"`
}

// Delay makes an answer slow.
type Delay struct {
	FirstByte time.Duration `yaml:"first_byte"` // before the head of the answer
	Frame     time.Duration `yaml:"frame"`      // before each frame of a stream
}

// Fault breaks an answer. Frames are counted from 1. The frame faults are for
// streams only, CutInBody for plain answers only.
type Fault struct {
	// CutAfterFrames severs the connection after so many frames; 0 is after the head.
	CutAfterFrames *int `yaml:"cut_after_frames"`
	// CutInFrame severs the connection in the middle of a frame; 0 is never.
	CutInFrame int `yaml:"cut_in_frame"`
	// CutInBody severs the connection in the middle of the body.
	CutInBody bool `yaml:"cut_in_body"`
	// ExceptionAfterFrames ends the stream by an exception frame.
	ExceptionAfterFrames *int `yaml:"exception_after_frames"`
	// Exception is that frame's :exception-type; absent: internalServerException.
	Exception string `yaml:"exception"`
	// MissingUsage leaves out all that reports usage: frames, members, headers.
	MissingUsage bool `yaml:"missing_usage"`
	// CorruptCRC spoils the checksum of a frame; 0 is none.
	CorruptCRC int `yaml:"corrupt_crc"`
	// Hang never answers. The call is billed.
	Hang bool `yaml:"hang"`
	// CloseConnection closes a kept connection when the call arrives on it,
	// unanswered and unbilled; on a new connection the call is answered.
	CloseConnection bool `yaml:"close_connection"`
}

// LoadScript reads a script in YAML or JSON. Unknown members are mistakes; the
// error names all that are wrong.
func LoadScript(data []byte) (*Script, error) {
	var s Script
	if len(strings.TrimSpace(string(data))) == 0 {
		return &s, nil
	}
	if err := unmarshal(data, &s); err != nil {
		return nil, fmt.Errorf("sandbox script: %w", err)
	}
	if err := s.validate(); err != nil {
		return nil, err
	}
	return &s, nil
}

// unmarshal reads YAML. The library panics on some broken texts, such as a tag without a value.
func unmarshal(data []byte, s *Script) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("broken YAML: %v", r)
		}
	}()
	return yaml.UnmarshalWithOptions(data, s, yaml.Strict())
}

func (s *Script) validate() error {
	var all []error
	for i := range s.Rules {
		for _, problem := range s.Rules[i].problems() {
			all = append(all, fmt.Errorf("sandbox script: rules[%d]: %s", i, problem))
		}
	}
	return errors.Join(all...)
}

func (r *Rule) problems() (found []string) {
	check := func(ok bool, problem string) {
		if !ok {
			found = append(found, problem)
		}
	}
	_, known := wire.ParseOperation(r.Match.Operation)
	check(known || r.Match.Operation == "", "match.operation: no such operation: "+r.Match.Operation)
	check(r.Match.Every >= 0 && r.Times >= 0, "match.every and times must not be negative")
	check(r.Room.Requests >= 0, "room.requests must not be negative")
	check(r.Delay.FirstByte >= 0 && r.Delay.Frame >= 0, "delays must not be negative")
	check(r.Error == nil || r.Error.Status >= 400 && r.Error.Status <= 599, "error.status must be from 400 to 599")
	check(r.Error == nil || r.Error.Type != "", "error.type is missing")
	if t := r.Answer.Tool; t != nil {
		check(t.Name != "", "answer.tool.name is missing")
		_, err := json.Marshal(t.Input)
		check(err == nil, "answer.tool.input is not a JSON object")
	}
	for _, n := range []*int64{
		r.Answer.InputTokens, r.Answer.OutputTokens,
		&r.Answer.CacheReadTokens, &r.Answer.CacheWriteTokens, &r.Answer.CacheWrite1hTokens,
	} {
		check(n == nil || *n >= 0, "token counts must not be negative")
	}
	for _, n := range []*int{r.Fault.CutAfterFrames, r.Fault.ExceptionAfterFrames, &r.Fault.CutInFrame,
		&r.Fault.CorruptCRC} {
		check(n == nil || *n >= 0, "frame numbers must not be negative")
	}
	return found
}

// player finds the rules for calls and counts their matches.
type player struct {
	rules  []Rule
	models []glob.Pattern

	mu      sync.Mutex // guards the counters
	matched []int
	applied []int
	seconds []second // of rules with a room
}

// second is how many calls a rule had in one.
type second struct{ at, calls int64 }

func newPlayer(s *Script) *player {
	p := &player{rules: s.Rules, models: make([]glob.Pattern, len(s.Rules))}
	p.matched, p.applied = make([]int, len(s.Rules)), make([]int, len(s.Rules))
	p.seconds = make([]second, len(s.Rules))
	for i, r := range s.Rules {
		p.models[i] = glob.Compile(r.Match.Model)
	}
	return p
}

// noRule is what a call gets that no rule matches.
var noRule Rule

// find returns the rule for a call.
func (p *player) find(c *call) *Rule {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.rules {
		r := &p.rules[i]
		if !p.holds(i, c) {
			continue
		}
		p.matched[i]++
		if r.Match.Every > 0 && p.matched[i]%r.Match.Every != 0 || r.Times > 0 && p.applied[i] >= r.Times {
			continue
		}
		p.applied[i]++
		if p.crowded(i, c) {
			return &saturated
		}
		return r
	}
	return &noRule
}

// saturated is what a call gets for which capacity has no room.
var saturated = Rule{Error: &ErrorReply{
	Status: http.StatusTooManyRequests, Type: "ThrottlingException", Message: "Too many requests for the capacity.",
}}

// crowded counts a call to a rule and reports whether that has no room for it in this second.
func (p *player) crowded(i int, c *call) bool {
	most := int64(p.rules[i].Room.Requests)
	if at := c.start.Unix(); p.seconds[i].at != at {
		p.seconds[i] = second{at: at}
	}
	p.seconds[i].calls++
	return most > 0 && p.seconds[i].calls > most
}

func (p *player) holds(i int, c *call) bool {
	m := &p.rules[i].Match
	return (m.Model == "" || p.models[i].Match(c.model)) &&
		(m.Operation == "" || m.Operation == c.op.String()) &&
		(m.Tier == "" || m.Tier == c.tier()) &&
		strings.Contains(c.lastText, m.Text)
}
