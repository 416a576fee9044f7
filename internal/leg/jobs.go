package leg

import (
	"context"
	"encoding/json"

	"github.com/sluice-gateway/sluice/internal/wire"
)

// Jobs remembers which tenant started an asynchronous job.
type Jobs interface {
	Own(ctx context.Context, invocationARN, tenant string) error
	Owner(ctx context.Context, invocationARN string) (tenant string, err error)
}

// checkJob hides a job from every tenant but the one that started it. Other operations pass.
func (k *Asker) checkJob(ctx context.Context, r *Request) *wire.Error {
	if r.Target.Op != wire.OpGetAsyncInvoke {
		return nil
	}
	owner, err := k.Jobs.Owner(ctx, r.Target.Resource)
	if err != nil {
		return &wire.Error{
			Kind: wire.KindServiceUnavailable, Cause: err, Message: "the ledger cannot be asked who started this job",
		}
	}
	if owner != r.Caller.Tenant.ID {
		return wire.Errorf(wire.KindResourceNotFound, "there is no job %s of yours", r.Target.Resource)
	}
	return nil
}

// OwnJob remembers who started an asynchronous job before they learn its ARN.
func (k *Asker) OwnJob(ctx context.Context, a *Attempt) *wire.Error {
	r := a.request
	if r.Target.Op != wire.OpStartAsyncInvoke || a.Response.Status >= 300 {
		return nil
	}
	var job struct{ InvocationArn string }
	err := json.Unmarshal(a.Response.Body, &job)
	if err == nil {
		err = k.Jobs.Own(ctx, job.InvocationArn, r.Caller.Tenant.ID)
	}
	if err != nil {
		return &wire.Error{Kind: wire.KindServiceUnavailable, Cause: err,
			Message: "the job was started but cannot be recorded as yours: " + job.InvocationArn}
	}
	return nil
}
