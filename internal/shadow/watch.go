package shadow

import (
	"context"
	"fmt"
	"math"

	"github.com/sluice-gateway/sluice/internal/cascade"
	"github.com/sluice-gateway/sluice/internal/cascade/answer"
	"github.com/sluice-gateway/sluice/internal/cascade/memory"
	"github.com/sluice-gateway/sluice/internal/snapshot"
)

// watchLight compares a light answer that a certificate let through with the
// escalation model's. Where nobody can tell which is better, it is no sample.
func (j *job) watchLight(ctx context.Context, strong *answer.Answer) {
	if j.Route.Cascade.Mode != "enforce" {
		return
	}
	if loss, known := j.labelled(ctx, j.served(), strong).loss(); known {
		j.watch(j.Finished, loss)
	}
}

// watch counts the loss of a sampled request against the certificate, if one
// decided about it. An answer that a used-up escalation budget let through would
// be let through at any threshold.
func (s *Shadows) watch(f *Finished, loss float64) {
	if f.Route.Cascade.Mode != "enforce" {
		return
	}
	name := f.Route.Cascade.Name
	certificate := f.Request.Snapshot.Artifacts[name].Certificate
	risk := f.Risk
	if f.Reason == cascade.ReasonGuard {
		risk = math.Inf(-1)
	}
	state := s.Memory.Of(name)
	watch := &state.Watch
	back, refuted := watch.Observe(certificate, memory.Sample{Risk: risk, Loss: loss})
	if !refuted {
		return
	}
	metrics, log := s.Asker.Telemetry.Metrics(), s.Asker.Log
	metrics.Refuted(name)
	metrics.StepsBack(name, back)
	log.Error("the light model loses more than the certificate's bound: the threshold is stepped back; calibrate again",
		"cascade", name, "certificate", certificate.Hash, "bound", certificate.MaxLoss,
		"steps_back", back, "of", len(certificate.Steps), "threshold", fmt.Sprint(watch.Threshold(certificate)))
	s.Memory.ShareWatch(name)
	if err := s.Tightened.Keep(name, state); err != nil {
		log.Error("a restart would forget that the threshold was stepped back", "cascade", name, "err", err)
	}
}

// Restore steps the thresholds of certificates back as far as they were before a
// restart. in is the snapshot in use, nil for none yet.
func (s *Shadows) Restore(in *snapshot.Snapshot) error {
	if err := s.Tightened.Restore(s.Memory); err != nil || in == nil {
		return err
	}
	s.ShowSteps(in)
	return nil
}

// ShowSteps sets the metric of how far the certificates of a snapshot are stepped
// back.
func (s *Shadows) ShowSteps(in *snapshot.Snapshot) {
	for name, a := range in.Artifacts {
		if a.Certificate != nil {
			s.Asker.Telemetry.Metrics().StepsBack(name, s.Memory.Of(name).Watch.Back(a.Certificate.Hash))
		}
	}
}
