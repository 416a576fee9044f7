package bedrock

import (
	"context"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime"

	"github.com/sluice-gateway/sluice/config"
)

// variant is a source of the SDK's configuration that wants FIPS or dual stack.
type variant struct{ fips, dualStack bool }

func (v variant) GetUseFIPSEndpoint(context.Context) (aws.FIPSEndpointState, bool, error) {
	if v.fips {
		return aws.FIPSEndpointStateEnabled, true, nil
	}
	return aws.FIPSEndpointStateDisabled, true, nil
}

func (v variant) GetUseDualStackEndpoint(context.Context) (aws.DualStackEndpointState, bool, error) {
	if v.dualStack {
		return aws.DualStackEndpointStateEnabled, true, nil
	}
	return aws.DualStackEndpointStateDisabled, true, nil
}

// sdkRegions are all regions that the SDK knows, of all partitions.
func sdkRegions(t *testing.T) []string {
	t.Helper()
	const module = "github.com/aws/aws-sdk-go-v2"
	sdk, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	if err != nil {
		t.Fatal(err)
	}
	at := filepath.Join(strings.TrimSpace(string(sdk)), "internal/endpoints/awsrulesfn/partitions.json")
	text, err := os.ReadFile(at)
	if err != nil {
		t.Fatal(err)
	}
	var all struct {
		Partitions []struct{ Regions map[string]any }
	}
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	var regions []string
	for _, p := range all.Partitions {
		regions = slices.AppendSeq(regions, maps.Keys(p.Regions))
	}
	return regions
}

// TestEndpointsAreBedrocks compares the endpoint of each region, with FIPS and dual stack or
// without, with what Bedrock's own client of the SDK takes.
func TestEndpointsAreBedrocks(t *testing.T) {
	regions := sdkRegions(t)
	if len(regions) < 30 {
		t.Fatal(regions)
	}
	regions = append(regions, "eu-new-7", "us-gov-new-1", "cn-new-9", "mars", "us_east", "us east", "")
	for _, region := range regions {
		for _, v := range []variant{{}, {fips: true}, {dualStack: true}, {true, true}} {
			got, err := awsEndpoint(t.Context(), aws.Config{Region: region, ConfigSources: []any{v}})
			want, wantErr := bedrockruntime.NewDefaultEndpointResolverV2().ResolveEndpoint(t.Context(),
				bedrockruntime.EndpointParameters{
					Region: aws.String(region), UseFIPS: aws.Bool(v.fips), UseDualStack: aws.Bool(v.dualStack),
				})
			switch {
			case (err == nil) != (wantErr == nil):
				t.Errorf("%q %+v: %v, want %v", region, v, err, wantErr)
			case err == nil && got.String() != want.URI.String():
				t.Errorf("%q %+v: %s, want %s", region, v, got, &want.URI)
			}
		}
	}
}

// TestMantleEndpoint: the host bedrock-mantle has one name in every region, and signatures of its own.
func TestMantleEndpoint(t *testing.T) {
	for _, c := range []struct {
		settings      config.Upstream
		host, service string
	}{
		{config.Upstream{Kind: "mantle", Region: "eu-west-1"}, "bedrock-mantle.eu-west-1.api.aws", "bedrock-mantle"},
		{config.Upstream{Kind: "mantle", Region: "x", Endpoint: "https://a.b/c"}, "a.b", "bedrock-mantle"},
		{config.Upstream{Kind: "runtime", Region: "x", Endpoint: "https://a.b"}, "a.b", "bedrock"},
	} {
		at, err := locate(t.Context(), c.settings, &chain{}, true)
		if err != nil || at.endpoint.Host != c.host || at.service != c.service {
			t.Errorf("%+v: %+v %v", c.settings, at, err)
		}
	}
}
