package bedrock

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sso"

	"github.com/sluice-gateway/sluice/config"
)

// site is where an upstream is.
type site struct {
	endpoint *url.URL
	region   string
	service  string     // that signatures are for
	aws      aws.Config // zero when neither credentials nor the endpoint need it
	chain    *chain     // of the credentials of this process
}

// locate finds endpoint and region. The AWS configuration (environment and
// files) is read only when it is needed: for an endpoint that is not configured,
// a region that is not, or for credentials.
func locate(ctx context.Context, s config.Upstream, c *chain, haveCredentials bool) (site, error) {
	c.region = s.Region
	at := site{region: s.Region, chain: c, service: signingName}
	if s.Endpoint == "" && !s.Mantle() || s.Region == "" || !haveCredentials {
		loaded, err := at.chain.load(ctx)
		if err != nil {
			return site{}, err
		}
		at.aws, at.region = loaded, loaded.Region
	}
	at.chain.region = cmp.Or(s.Role.STSRegion, at.region)
	if at.region == "" {
		return site{}, errors.New("no region")
	}
	if s.Mantle() {
		at.service = mantleName
	}
	var err error
	switch {
	case s.Endpoint != "":
		at.endpoint, err = configuredEndpoint(s.Endpoint)
	case s.Mantle():
		at.endpoint = &url.URL{Scheme: "https", Host: "bedrock-mantle." + at.region + ".api.aws"}
	default:
		at.endpoint, err = awsEndpoint(ctx, at.aws)
	}
	return at, err
}

// awsEndpoint asks the SDK, which knows partitions, FIPS and dual stack. What it asks for is
// the endpoint of the identity centre, whose client credentials need anyway: in a region
// that of Bedrock differs in its first label alone. A test compares them with what Bedrock's
// client says, which would make the program larger by 0.6 MB.
func awsEndpoint(ctx context.Context, c aws.Config) (*url.URL, error) {
	fips, dualStack := endpointVariant(ctx, c)
	resolver, like := sso.NewDefaultEndpointResolverV2(), sso.EndpointParameters{
		Region: aws.String(c.Region), UseFIPS: aws.Bool(fips), UseDualStack: aws.Bool(dualStack),
	}
	if _, err := resolver.ResolveEndpoint(ctx, like); err != nil {
		return nil, err // the partition has no such variant, say
	}
	like.UseFIPS = aws.Bool(false) // with it, regions differ in more
	found, err := resolver.ResolveEndpoint(ctx, like)
	if err != nil {
		return nil, err
	}
	in, isIn := strings.CutPrefix(found.URI.Host, "portal.sso.")
	if !isIn {
		return nil, fmt.Errorf("no endpoint of Bedrock is known in region %s", c.Region)
	}
	label := "bedrock-runtime."
	if fips {
		label = "bedrock-runtime-fips."
	}
	return &url.URL{Scheme: found.URI.Scheme, Host: label + in}, nil
}

// endpointVariant reads AWS_USE_FIPS_ENDPOINT, AWS_USE_DUALSTACK_ENDPOINT and
// their counterparts in the shared configuration; the first source wins.
func endpointVariant(ctx context.Context, c aws.Config) (fips, dualStack bool) {
	fipsFound, dualStackFound := false, false
	for _, source := range c.ConfigSources {
		if s, ok := source.(interface {
			GetUseFIPSEndpoint(context.Context) (aws.FIPSEndpointState, bool, error)
		}); ok && !fipsFound {
			state, found, err := s.GetUseFIPSEndpoint(ctx)
			fips, fipsFound = state == aws.FIPSEndpointStateEnabled, found && err == nil
		}
		if s, ok := source.(interface {
			GetUseDualStackEndpoint(context.Context) (aws.DualStackEndpointState, bool, error)
		}); ok && !dualStackFound {
			state, found, err := s.GetUseDualStackEndpoint(ctx)
			dualStack, dualStackFound = state == aws.DualStackEndpointStateEnabled, found && err == nil
		}
	}
	return fips, dualStack
}

// instanceMetadata is the IPv6 address of the EC2 instance metadata service.
var instanceMetadata = netip.MustParseAddr("fd00:ec2::254")

// configuredEndpoint refuses link-local addresses: what answers there returns the
// machine's credentials.
func configuredEndpoint(raw string) (*url.URL, error) {
	u, err := parseURL("endpoint", raw)
	if err != nil {
		return nil, err
	}
	ip, err := netip.ParseAddr(u.Hostname())
	if err == nil && (ip.Unmap().IsLinkLocalUnicast() || ip == instanceMetadata) {
		return nil, fmt.Errorf("endpoint %s is a link-local address", u.Hostname())
	}
	if u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return nil, errors.New("endpoint: only scheme, host and path are allowed")
	}
	return u, nil
}

// parseURL does not quote the URL in its error: it may contain a password.
func parseURL(what, raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" {
		return nil, fmt.Errorf("%s: not a URL with scheme and host", what)
	}
	return u, nil
}
