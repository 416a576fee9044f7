package bedrock

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/sluice-gateway/sluice/internal/role"
)

// How long the account that was found counts before it is asked for again, and how long
// a failure does: whoever names ARNs of strangers must not have the security token
// service asked with each request.
const (
	accountKept, accountFailed = time.Hour, time.Minute
	accountTimeout             = 3 * time.Second
)

// account is that of the credentials of a source. The zero value was not asked for yet.
type account struct {
	mu    sync.Mutex // held while it is asked for, so that one question is for all
	id    string
	err   error
	until time.Time
}

// Account returns the number of the account that an upstream's requests are signed for.
// It is asked for (GetCallerIdentity) when it is first needed, unless the credentials
// have it. It fails when nobody knows it: with a bearer token, with fixed keys, when the
// security token service does not answer.
func (e *Engine) Account(ctx context.Context, upstream string, as role.Role) (string, error) {
	up := e.upstreams[upstream]
	if up == nil || up.identity == nil || up.identity.roles == nil {
		return "", errors.New("the account of these credentials cannot be asked for")
	}
	id := up.identity
	of := id.of(as)
	of.account.mu.Lock()
	defer of.account.mu.Unlock()
	known, now := &of.account, of.now()
	if now.Before(known.until) {
		return known.id, known.err
	}
	// The answer is for everybody: a caller who leaves must not make it a failure.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), accountTimeout)
	defer cancel()
	found, err := id.askAccount(ctx, of)
	switch {
	case err == nil:
		known.id, known.err, known.until = found, nil, now.Add(accountKept)
	case known.id != "": // it seldom changes
		known.until = now.Add(accountFailed)
	default:
		known.err, known.until = err, now.Add(accountFailed)
	}
	return known.id, known.err
}

func (id *identity) askAccount(ctx context.Context, of *source) (string, error) {
	c, err := of.get(ctx)
	if err != nil {
		return "", fmt.Errorf("credentials: %w", err)
	}
	if c.AccountID != "" {
		return c.AccountID, nil
	}
	settings := id.site
	settings.Credentials = of
	answer, err := sts.NewFromConfig(settings).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return "", fmt.Errorf("GetCallerIdentity: %w", err)
	}
	if found := aws.ToString(answer.Account); found != "" {
		return found, nil
	}
	who, err := arn.Parse(aws.ToString(answer.Arn))
	return who.AccountID, err
}
