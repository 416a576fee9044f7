package bedrock

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/sluice-gateway/sluice/internal/engine"
	"github.com/sluice-gateway/sluice/internal/engine/bedrock/http1"
	"github.com/sluice-gateway/sluice/internal/role"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// siblingEndpoint is where another service of a runtime endpoint is, such as bedrock,
// the control plane: the same host name with its name in place of bedrock-runtime, in
// every partition. Any other endpoint is asked itself.
func siblingEndpoint(runtime *url.URL, service string) *url.URL {
	sibling := *runtime
	if rest, ok := strings.CutPrefix(runtime.Host, "bedrock-runtime"); ok {
		sibling.Host = service + rest
	}
	return &sibling
}

// InferenceProfile asks the control plane (GetInferenceProfile) which model an
// inference profile is for, and returns its id with the region prefix of the
// profile's scope. It fails when the role may not ask, and when there is no such
// profile.
func (e *Engine) InferenceProfile(
	ctx context.Context, upstream string, as role.Role, profile string,
) (model string, err error) {
	up := e.upstreams[upstream]
	if up == nil {
		return "", misconfigured(fmt.Errorf("no upstream %q", upstream))
	}
	res, err := up.read(ctx, as, string(wire.AppendLabel([]byte("/inference-profiles/"), profile)))
	if err != nil {
		return "", err
	}
	if res.Status != 200 {
		return "", fmt.Errorf("GetInferenceProfile answered with status %d", res.Status)
	}
	return profiledModel(res.Body)
}

// read asks the control plane for what is at a target, and once more when it refuses
// who asks and other credentials were found.
func (u *upstream) read(ctx context.Context, as role.Role, target string) (*engine.Response, error) {
	for repeated := false; ; repeated = true {
		out := outgoing{request: http1.Request{Method: "GET", Target: u.basePath + target}}
		by, failed := u.authorize(ctx, u.control, &out, &engine.Request{Role: as})
		if failed != nil {
			return nil, failed
		}
		answer, err := u.control.Do(ctx, &out.request)
		if err != nil {
			return nil, asError(err)
		}
		res := &engine.Response{Status: answer.Status, Header: answer.Header}
		if res.Body, err = answer.Body.ReadAll(u.maxBody, nil); err != nil {
			return nil, asError(err)
		}
		u.judge(ctx, res, by)
		if repeated || res.Refusal == nil || !res.Refusal.Renewed {
			return res, nil
		}
	}
}

// profiledModel reads an answer of GetInferenceProfile.
func profiledModel(body []byte) (string, error) {
	var p struct {
		Models []struct{ ModelArn string }
	}
	if err := json.Unmarshal(body, &p); err != nil {
		return "", err
	}
	foundation := ""
	var regions []string
	for _, m := range p.Models {
		id := wire.ParseModelID(m.ModelArn)
		if id.Foundation == "" || foundation != "" && id.Foundation != foundation {
			return "", fmt.Errorf("the profile is for %s, which is not one foundation model", m.ModelArn)
		}
		foundation = id.Foundation
		regions = append(regions, id.Region)
	}
	if foundation == "" {
		return "", errors.New("the profile names no model")
	}
	return geography(regions) + foundation, nil
}

// geographies are the regions of each region prefix, the narrow ones first.
var geographies = []struct{ prefix, regions string }{
	{"jp.", "ap-northeast-1 ap-northeast-3"}, {"au.", "ap-southeast-2 ap-southeast-4 ap-southeast-6"},
	{"us-gov.", "us-gov-"}, {"us.", "us-"}, {"ca.", "ca-"}, {"eu.", "eu-"}, {"apac.", "ap-"},
}

// geography is the region prefix of a profile over these regions, "" for one of a
// single region.
func geography(regions []string) string {
	if len(regions) == 1 && regions[0] != "" {
		return ""
	}
	for _, g := range geographies {
		if allWithin(regions, strings.Fields(g.regions)) {
			return g.prefix
		}
	}
	return "global."
}

func allWithin(regions, beginnings []string) bool {
	for _, region := range regions {
		within := false
		for _, b := range beginnings {
			within = within || strings.HasPrefix(region, b)
		}
		if !within {
			return false
		}
	}
	return true
}
