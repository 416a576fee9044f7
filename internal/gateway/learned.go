package gateway

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/cascade/certify"
	"github.com/sluice-gateway/sluice/internal/cascade/score"
	"github.com/sluice-gateway/sluice/internal/meter"
)

// Learned is what files tell about one cascade.
type Learned struct {
	Gate *score.PreScore // nil without a pre-score
	// Score ranks light answers, as the certificate tells: nil without a score
	// file, and without one that could be read.
	Score       *score.Served
	Certificate *certify.Certificate // nil without one, and when it does not hold
	Void        error                // why there is none where the mode needs one

	gateHash string // score.FileHash of Gate's file
}

// LoadLearned reads the pre-scores, scores and certificates of all cascades. A
// pre-score that cannot be read is a mistake. A score or a certificate that
// cannot be read, or does not hold, is a warning: the cascade then acts as rules
// with the escalation model, and says so.
func LoadLearned(s *Snapshot, now time.Time) (map[string]*Learned, []config.Problem) {
	all := make(map[string]*Learned, len(s.Config.Cascades))
	var problems []config.Problem
	for i := range s.Config.Cascades {
		learned, found := readLearned(s, i, now)
		problems = append(problems, found...)
		all[s.Config.Cascades[i].Name] = learned
	}
	return all, problems
}

// Relearn returns s with what the files of its cascades tell now. A cascade of
// which a file is broken, or whose files do not belong together, keeps all that
// it had; the problems say so.
func (s *Snapshot) Relearn(now time.Time) (*Snapshot, []config.Problem) {
	next := *s
	next.Learned = maps.Clone(s.Learned)
	var problems []config.Problem
	for i := range s.Config.Cascades {
		learned, found := readLearned(s, i, now)
		if len(found) > 0 {
			problems = append(problems, found...)
			continue
		}
		next.Learned[s.Config.Cascades[i].Name] = learned
	}
	return &next, problems
}

// readLearned reads the files of one cascade.
func readLearned(s *Snapshot, index int, now time.Time) (*Learned, []config.Problem) {
	settings := &s.Config.Cascades[index]
	learned := &Learned{}
	var problems []config.Problem
	path := fmt.Sprintf("cascades[%d]", index)
	if err := learned.readGate(settings.PreScore); err != nil {
		problems = append(problems, config.Problem{Path: path + ".pre_score", Message: err.Error()})
	}
	if err := learned.readScore(settings.Score); err != nil {
		problems = append(problems, config.Problem{Path: path + ".score", Warning: true, Message: err.Error()})
	}
	if err := learned.readCertificate(settings, learned.binding(s, settings, now)); err != nil {
		learned.Void = err
		problems = append(problems, config.Problem{Path: path + ".certificate", Warning: true,
			Message: err.Error() + "; the escalation model serves until it is calibrated again"})
	}
	return learned, problems
}

func (l *Learned) readGate(file string) error {
	if file == "" {
		return nil
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if l.Gate, err = score.DecodePreScore(data); err != nil {
		return err
	}
	l.gateHash = score.FileHash(data)
	return nil
}

func (l *Learned) readScore(file string) error {
	if file == "" {
		return nil
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	l.Score, err = score.Load(data)
	return err
}

func (l *Learned) readCertificate(settings *config.Cascade, binding certify.Binding) error {
	if settings.Mode != "enforce" {
		return nil
	}
	if settings.Certificate == "" {
		return fmt.Errorf("mode enforce needs a certificate")
	}
	data, err := os.ReadFile(settings.Certificate)
	if err != nil {
		return err
	}
	c, err := certify.ParseCertificate(data)
	if err != nil {
		return err
	}
	if _, scored := c.Scores[certify.RoleScore]; scored {
		binding.Scores[certify.RoleScore] = l.Score.Hash()
	}
	if err := c.Valid(binding); err != nil {
		return err
	}
	if c.MaxLoss > settings.Target.MaxQualityLoss || c.Delta > 1-settings.Target.Confidence+1e-9 {
		return fmt.Errorf("the certificate promises a loss of %g at %g, the target is %g at %g",
			c.MaxLoss, 1-c.Delta, settings.Target.MaxQualityLoss, settings.Target.Confidence)
	}
	l.Certificate = c
	return nil
}

// order is what the certificate was tested with: the score file that it binds,
// the untrained order when it binds none.
func (l *Learned) order() *score.Served {
	if _, scored := l.Certificate.Scores[certify.RoleScore]; scored {
		return l.Score
	}
	return nil
}

// BindingOf is what a certificate of this cascade has to be about, as configured
// now. Prices count by the rates in force now. It has no schemas, and no score:
// who certifies risks of a trained score adds its hash as certify.RoleScore.
func BindingOf(s *Snapshot, settings *config.Cascade, now time.Time) certify.Binding {
	return s.Learned[settings.Name].binding(s, settings, now)
}

func (l *Learned) binding(s *Snapshot, settings *config.Cascade, now time.Time) certify.Binding {
	b := certify.Binding{Cascade: settings.Name, PolicyHash: policyHash(settings), Scores: map[string]string{}}
	if l != nil && l.Gate != nil {
		b.Scores[certify.RolePreScore] = l.gateHash
	}
	prices := sha256.New()
	for _, name := range []string{settings.Light, settings.Partner, settings.Escalation} {
		model := s.Router.Resolve(name)
		b.Models = append(b.Models, model)
		id := s.Router.Priced(model)
		if p := s.Prices.Find(meter.SKUOf(id.Foundation, id.Scope, ""), now); p != nil {
			fmt.Fprintln(prices, model, p.Version)
		}
	}
	b.PricesHash = hex.EncodeToString(prices.Sum(nil))
	return b
}

// policyHash covers what decides which answers are served, beside the models, the
// program's own order included, and who says what that costs: a certificate is
// about the labels of one judge.
func policyHash(c *config.Cascade) string {
	data, err := json.Marshal([]any{c.Match, c.EscalateIf, c.Unknown, c.OnLength, c.PartnerWhen, c.Shadow.Judge, score.Order})
	if err != nil {
		panic("BUG: a policy does not marshal: " + err.Error())
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
