package keys

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/money"
	"github.com/sluice-gateway/sluice/internal/network"
)

// Kind is what an act does.
type Kind string

// The kinds. Texts are part of the format.
const (
	Issue  Kind = "issue"  // a key comes into being, perhaps in place of another
	Change Kind = "change" // all settings of a key, as they are from now on
	Freeze Kind = "freeze" // a key, or all keys of a tenant and those below it, is refused for now
	Thaw   Kind = "thaw"   // lifts the freezes that it names
	Revoke Kind = "revoke" // a key is refused for ever
)

// actVersion is the version of acts that this program writes. A key that an act of
// a later one is about is refused: it may be restricted in ways that this program
// does not know.
const actVersion = 1

// Act is one thing that somebody did to a key or a tenant.
type Act struct {
	V      int    `json:"v"`
	Writer string `json:"writer"` // the process that wrote it
	Number uint64 `json:"number"` // of the writer's acts, from 1 without gaps
	// Prev is the hash of the writer's act before, After that of the newest act of any
	// writer that this one knew; "" for none.
	Prev  string `json:"prev,omitempty"`
	After string `json:"after,omitempty"`
	// Clock is above that of every act that the writer knew: it orders them.
	Clock  uint64    `json:"clock"`
	At     time.Time `json:"at"` // by the writer's clock, for people
	Actor  string    `json:"actor"`
	Kind   Kind      `json:"kind"`
	Key    string    `json:"key,omitempty"`
	Tenant string    `json:"tenant,omitempty"` // of an issued key; of a freeze, when Key is ""
	Reason string    `json:"reason,omitempty"`

	Settings *Settings `json:"settings,omitempty"` // of Issue and Change
	// Replaces is the key in whose place this one is issued, and Ends when that one
	// ceases to be valid.
	Replaces string     `json:"replaces,omitempty"`
	Ends     *time.Time `json:"ends,omitempty"`
	Lifts    []string   `json:"lifts,omitempty"` // hashes of the freezes that a Thaw lifts
}

// Settings are what may be set of a key. The zero value restricts nothing.
type Settings struct {
	Name  string `json:"name,omitempty"`
	Owner string `json:"owner,omitempty"`
	// Expires is when the key ceases to be valid; nil: never.
	Expires *time.Time `json:"expires,omitempty"`
	// Networks are where requests may come from; none: from everywhere.
	Networks []netip.Prefix `json:"networks,omitempty"`
	Budgets  []Budget       `json:"budgets,omitempty"`
	Limits   *Limits        `json:"limits,omitempty"`
}

// Budget is dollars per window, as config.Budget has it.
type Budget struct {
	Period   string `json:"period"`
	USD      string `json:"usd"`
	OnExceed string `json:"on_exceed,omitempty"`
	HardUSD  string `json:"hard_usd,omitempty"`
	TimeZone string `json:"time_zone,omitempty"`
}

// Limits are rates, as config.Limits has them. Zero is no limit.
type Limits struct {
	RequestsPerMinute  int64 `json:"requests_per_minute,omitempty"`
	TokensPerMinute    int64 `json:"tokens_per_minute,omitempty"`
	ConcurrentRequests int64 `json:"concurrent_requests,omitempty"`
}

// ErrSettings is wrapped by what is wrong with settings.
var ErrSettings = errors.New("settings of the key")

// The bounds of what an act may contain, in bytes or entries.
const (
	maxText     = 256
	maxEntries  = 64
	maxActBytes = 32 << 10
)

// Check finds what is wrong with the settings; it is ErrSettings. It puts networks
// into the form in which addresses are compared with them.
func (s *Settings) Check() error {
	for what, text := range map[string]string{"name": s.Name, "owner": s.Owner} {
		if err := checkText(what, text); err != nil {
			return err
		}
	}
	if len(s.Networks) > maxEntries || len(s.Budgets) > maxEntries {
		return fmt.Errorf("%w: at most %d networks, and as many budgets", ErrSettings, maxEntries)
	}
	for i, n := range s.Networks {
		if !n.IsValid() {
			return fmt.Errorf("%w: networks[%d] is no network", ErrSettings, i)
		}
		s.Networks[i] = network.Canonical(n)
	}
	for i := range s.Budgets {
		if _, err := s.Budgets[i].config(); err != nil {
			return fmt.Errorf("%w: budgets[%d]: %w", ErrSettings, i, err)
		}
	}
	if l := s.Limits; l != nil && min(l.RequestsPerMinute, l.TokensPerMinute, l.ConcurrentRequests) < 0 {
		return fmt.Errorf("%w: limits must not be below zero", ErrSettings)
	}
	return nil
}

func checkText(what, text string) error {
	if len(text) > maxText || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return fmt.Errorf("%w: %s must be printable, and have at most %d bytes", ErrSettings, what, maxText)
	}
	return nil
}

var (
	periods = [...]string{"minute", "hour", "day", "month"}
	exceeds = [...]string{"", "reject", "light_only", "notify"}
)

// config is the budget as the configuration has it.
func (b *Budget) config() (config.Budget, error) {
	c := config.Budget{Period: b.Period, OnExceed: b.OnExceed, TimeZone: b.TimeZone}
	var err error
	if c.USD, err = money.ParseDollars(b.USD); err != nil || c.USD <= 0 {
		return c, fmt.Errorf("usd must be an amount above zero, not %q", b.USD)
	}
	if b.HardUSD != "" {
		if c.HardUSD, err = money.ParseDollars(b.HardUSD); err != nil {
			return c, fmt.Errorf("hard_usd must be an amount, not %q", b.HardUSD)
		}
	}
	if c.OnExceed == "" {
		c.OnExceed = "reject"
	}
	if c.TimeZone == "" {
		c.TimeZone = "UTC"
	}
	_, zone := time.LoadLocation(c.TimeZone)
	switch {
	case !oneOf(periods[:], c.Period):
		return c, fmt.Errorf("period must be minute, hour, day or month, not %q", b.Period)
	case !oneOf(exceeds[:], c.OnExceed):
		return c, fmt.Errorf("on_exceed must be reject, light_only or notify, not %q", b.OnExceed)
	case zone != nil || c.TimeZone == "Local":
		return c, fmt.Errorf("there is no time zone %q", b.TimeZone)
	case c.HardUSD != 0 && (c.OnExceed != "light_only" || c.HardUSD < c.USD):
		return c, errors.New("hard_usd is for on_exceed: light_only, and not below usd")
	}
	return c, nil
}

func oneOf(all []string, word string) bool {
	for _, w := range all {
		if w == word {
			return true
		}
	}
	return false
}

// Entry is an act as it is kept and carried: its bytes, which the hash is of, and
// the seal over them.
type Entry struct {
	Act  json.RawMessage `json:"act"`
	Seal string          `json:"seal"`
}

// Hash identifies the act: SHA-256 of its bytes, in hex.
func (e *Entry) Hash() string {
	sum := sha256.Sum256(e.Act)
	return hex.EncodeToString(sum[:])
}

// Sealer seals acts with the root secret. *tenant.Secrets is one.
type Sealer interface {
	// Seal is the seal of the current root secret.
	Seal(text []byte) string
	// Sealed reports whether the root secret that a seal names made it, and whether
	// that one is loaded.
	Sealed(text []byte, seal string) (ok, loaded bool)
}

// Nobody is a Sealer without a root secret, for who only reads.
type Nobody struct{}

// Seal implements Sealer. What it returns is nobody's seal.
func (Nobody) Seal([]byte) string { return "" }

// Sealed implements Sealer.
func (Nobody) Sealed([]byte, string) (ok, loaded bool) { return false, false }

// seal makes the entry of an act.
func seal(a *Act, by Sealer) (Entry, error) {
	text, err := json.Marshal(a)
	if err != nil {
		return Entry{}, err
	}
	if len(text) > maxActBytes {
		return Entry{}, fmt.Errorf("%w: together they have more than %d bytes", ErrSettings, maxActBytes)
	}
	return Entry{Act: text, Seal: by.Seal(text)}, nil
}

// sealLetters are all that a seal consists of.
const sealLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789:"

// known is an entry and what is in it.
type known struct {
	Entry
	Act      Act
	hash     string
	verified bool // the seal was right when this gateway first saw it
	carried  bool // the board has it
	kept     bool // the file has it
}

// open reads an entry. What cannot be read is an error; that of a later version is
// read as far as this program knows it.
func open(e Entry) (*known, error) {
	k := &known{Entry: e, hash: e.Hash()}
	if len(e.Act) > 2*maxActBytes || len(e.Seal) > maxText || bytes.ContainsAny(e.Act, "\r\n") ||
		strings.Trim(e.Seal, sealLetters) != "" {
		return nil, errors.New("the act is too large, or in a form that nobody writes")
	}
	if err := json.Unmarshal(e.Act, &k.Act); err != nil {
		return nil, fmt.Errorf("the act cannot be read: %w", err)
	}
	if a := &k.Act; a.V < 1 || a.Writer == "" || a.Number == 0 || a.Key == "" && a.Tenant == "" {
		return nil, errors.New("the act names no writer or key")
	}
	return k, nil
}

// entryBegins is how the line of an entry begins.
const entryBegins = `{"act":`

// appendEntry appends an entry as JSON. The act's bytes stay as they are, because the
// hash is of them.
func appendEntry(b []byte, e *Entry) []byte {
	b = append(append(b, entryBegins...), e.Act...)
	return append(strconv.AppendQuote(append(b, `,"seal":`...), e.Seal), '}')
}
