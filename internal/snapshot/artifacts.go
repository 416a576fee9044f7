package snapshot

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/config/userfile"
	"github.com/sluice-gateway/sluice/internal/cascade/certify"
	"github.com/sluice-gateway/sluice/internal/cascade/ground"
	"github.com/sluice-gateway/sluice/internal/cascade/rubric"
	"github.com/sluice-gateway/sluice/internal/cascade/score"
)

// Artifacts are what calibration has made of one cascade, read from the files
// that its configuration names. nil is none.
type Artifacts struct {
	PreScore *score.PreScore // nil without one
	// Score ranks light answers, where the certificate names it. It is nil without
	// a score file, and when the file cannot be read.
	Score       *score.Model
	Certificate *certify.Certificate // nil without one, and when it does not hold
	Void        error                // why there is none where the mode needs one

	preScoreHash string // score.FileHash of PreScore's file
}

// readAll reads the files of all cascades.
func (s *Snapshot) readAll(now time.Time) (map[string]*Artifacts, []config.Problem) {
	all := make(map[string]*Artifacts, len(s.Config.Cascades))
	var problems []config.Problem
	for i := range s.Config.Cascades {
		artifacts, found := s.read(i, now)
		problems = append(problems, found...)
		all[s.Config.Cascades[i].Name] = artifacts
	}
	return all, problems
}

// ReloadArtifacts returns a copy of s with what the files of its cascades contain
// now. A cascade of which a file is broken, or whose files do not belong
// together, keeps everything that it had; the problems name it.
func (s *Snapshot) ReloadArtifacts(now time.Time) (*Snapshot, []config.Problem) {
	next := *s
	next.Artifacts = maps.Clone(s.Artifacts)
	var problems []config.Problem
	for i := range s.Config.Cascades {
		artifacts, found := s.read(i, now)
		if len(found) > 0 {
			problems = append(problems, found...)
			continue
		}
		next.Artifacts[s.Config.Cascades[i].Name] = artifacts
	}
	return &next, problems
}

// read reads the files of one cascade. A pre-score that cannot be read is a
// mistake. A score or a certificate that cannot be read, or does not hold, is a
// warning: the cascade then acts as rules with the escalation model.
func (s *Snapshot) read(index int, now time.Time) (*Artifacts, []config.Problem) {
	settings := &s.Config.Cascades[index]
	a := &Artifacts{}
	var problems []config.Problem
	wrong := func(key string, warning bool, message string) {
		problems = append(problems, config.Problem{Path: fmt.Sprintf("cascades[%d].%s", index, key), Warning: warning,
			Message: message})
	}
	if err := a.readPreScore(settings.PreScore); err != nil {
		wrong("pre_score", false, err.Error())
	}
	if err := a.readScore(settings.Score); err != nil {
		wrong("score", true, err.Error())
	}
	if settings.Mode == "enforce" {
		if a.Void = a.readCertificate(settings, s.binding(a, settings, now)); a.Void != nil {
			wrong("certificate", true, a.Void.Error()+"; the escalation model serves until it is calibrated again")
		}
	}
	return a, problems
}

func read(file string) ([]byte, error) {
	data, err := userfile.Whole(file)
	if err != nil {
		return nil, errors.New(userfile.Why(file, err))
	}
	return data, nil
}

func (a *Artifacts) readPreScore(file string) error {
	if file == "" {
		return nil
	}
	data, err := read(file)
	if err != nil {
		return err
	}
	if a.PreScore, err = score.DecodePreScore(data); err == nil {
		a.preScoreHash = score.FileHash(data)
	}
	return err
}

func (a *Artifacts) readScore(file string) error {
	if file == "" {
		return nil
	}
	data, err := read(file)
	if err != nil {
		return err
	}
	a.Score, err = score.DecodeModel(data)
	return err
}

func (a *Artifacts) readCertificate(settings *config.Cascade, binding certify.Binding) error {
	if settings.Certificate == "" {
		return errors.New("mode enforce needs a certificate")
	}
	data, err := read(settings.Certificate)
	if err != nil {
		return err
	}
	c, err := certify.ParseCertificate(data)
	if err != nil {
		return err
	}
	if _, scored := c.Scores[certify.RoleScore]; scored {
		binding.Scores[certify.RoleScore] = a.Score.Hash()
	}
	if err := c.Valid(binding); err != nil {
		return err
	}
	if c.MaxLoss > settings.Target.MaxQualityLoss || c.Delta > 1-settings.Target.Confidence+1e-9 {
		return fmt.Errorf("the certificate promises a loss of %g at %g, the target is %g at %g",
			c.MaxLoss, 1-c.Delta, settings.Target.MaxQualityLoss, settings.Target.Confidence)
	}
	a.Certificate = c
	return nil
}

// Order ranks light answers as the certificate was tested: by the score file that
// it names, else in the untrained order, which is nil. There must be a certificate.
func (a *Artifacts) Order() *score.Model {
	if _, scored := a.Certificate.Scores[certify.RoleScore]; scored {
		return a.Score
	}
	return nil
}

// Band is what the pre-score says of a request before any call. in describes the
// request; it is called only where there is a pre-score.
func (a *Artifacts) Band(in func() *score.Input) score.Band {
	if a == nil || a.PreScore == nil {
		return score.NoBand
	}
	gain, _ := a.PreScore.Score(in(), nil)
	return a.PreScore.Band(gain)
}

// Binding is what a certificate of this cascade has to be about, as configured
// now. Prices count by the rates in force now. It has no schemas, and no score:
// who certifies risks of a trained score adds its hash as certify.RoleScore.
func (s *Snapshot) Binding(settings *config.Cascade, now time.Time) certify.Binding {
	return s.binding(s.Artifacts[settings.Name], settings, now)
}

func (s *Snapshot) binding(a *Artifacts, settings *config.Cascade, now time.Time) certify.Binding {
	b := certify.Binding{Cascade: settings.Name, PolicyHash: policyHash(settings), Scores: map[string]string{}}
	if a != nil && a.PreScore != nil {
		b.Scores[certify.RolePreScore] = a.preScoreHash
	}
	prices := sha256.New()
	for _, name := range []string{settings.Light, settings.Partner, settings.Escalation} {
		model := s.Router.Resolve(name)
		b.Models = append(b.Models, model)
		if p := s.Prices.Find(s.SKU(model, "", "", ""), now); p != nil {
			prices.Write(fmt.Appendln(nil, model, p.Version))
		}
	}
	b.PricesHash = hex.EncodeToString(prices.Sum(nil))
	if from := settings.Shadow.Adequate; from > 0 {
		b.Rubric, b.Adequate = rubric.Hash(), from
	}
	return b
}

// policyHash covers what decides which answers are served, beside the models. The
// program's own order is in it, and the judge: a certificate is about the labels
// of one judge.
func policyHash(c *config.Cascade) string {
	parts := []any{c.Match, c.EscalateIf, c.Unknown, c.OnLength, c.PartnerWhen, c.Shadow.Judge, score.Order}
	if c.OnUngrounded == "escalate" {
		parts = append(parts, ground.Order)
	}
	data, err := json.Marshal(parts)
	if err != nil {
		panic("BUG: a policy does not marshal: " + err.Error())
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
