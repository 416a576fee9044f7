package gateway

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/cascade"
	"github.com/sluice-gateway/sluice/internal/cascade/certify"
	"github.com/sluice-gateway/sluice/internal/cascade/score"
	"github.com/sluice-gateway/sluice/internal/meter"
	"github.com/sluice-gateway/sluice/internal/router"
)

// Learned is what files tell about one cascade.
type Learned struct {
	Gate        *score.Gate          // nil without a pre-score
	Certificate *certify.Certificate // nil without one, and when it does not hold
	Void        error                // why there is none where the mode needs one
}

// LoadLearned reads the pre-scores and certificates of all cascades. A pre-score
// that cannot be read is a mistake. A certificate that cannot be read or does
// not hold is a warning: the cascade then acts as rules with the escalation
// model, and says so.
func LoadLearned(s *Snapshot, now time.Time) (map[string]*Learned, []config.Problem) {
	all := make(map[string]*Learned, len(s.Config.Cascades))
	var problems []config.Problem
	for i := range s.Config.Cascades {
		settings := &s.Config.Cascades[i]
		path := fmt.Sprintf("cascades[%d]", i)
		learned := &Learned{}
		if err := learned.readGate(settings.PreScore); err != nil {
			problems = append(problems, config.Problem{Path: path + ".pre_score", Message: err.Error()})
		}
		if err := learned.readCertificate(settings, BindingOf(s, settings, now)); err != nil {
			learned.Void = err
			problems = append(problems, config.Problem{Path: path + ".certificate", Warning: true,
				Message: err.Error() + "; the escalation model serves until it is calibrated again"})
		}
		all[settings.Name] = learned
	}
	return all, problems
}

func (l *Learned) readGate(file string) error {
	if file == "" {
		return nil
	}
	data, err := os.ReadFile(file)
	if err == nil {
		l.Gate, err = score.DecodeGate(data)
	}
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

// BindingOf is what a certificate of this cascade has to be about, as configured
// now. Prices count by the rates in force now.
func BindingOf(s *Snapshot, settings *config.Cascade, now time.Time) certify.Binding {
	b := certify.Binding{Cascade: settings.Name, PolicyHash: policyHash(settings), Scores: map[string]string{}}
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

// policyHash covers what decides which answers are served, beside the models.
func policyHash(c *config.Cascade) string {
	data, err := json.Marshal([]any{c.Match, c.EscalateIf, c.Unknown, c.OnLength, c.PartnerWhen})
	if err != nil {
		panic("BUG: a policy does not marshal: " + err.Error())
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// certified reports whether a cascade has a certificate that holds, and that
// what happened since has not refuted.
func (l *Line) certified(c *call, to *router.Cascade) bool {
	learned := c.snap.Learned[to.Name]
	return learned != nil && learned.Certificate != nil && !l.memory.Of(to.Name).Watch.Refuted(learned.Certificate)
}

// threshold is what the certificate of an enforcing cascade allows, nil
// elsewhere.
func (c *call) threshold() *cascade.Threshold {
	to := c.plan.Cascade
	if to.Mode != "enforce" {
		return nil
	}
	return &cascade.Threshold{AtMost: c.snap.Learned[to.Name].Certificate.Threshold, Prompt: c.prompt(), Route: c.route(to)}
}
