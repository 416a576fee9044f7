package review

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/config/similar"
)

// awsRegions are the regions of AWS, as of November 2026.
var awsRegions = []string{
	"us-east-1", "us-east-2", "us-west-1", "us-west-2", "us-gov-east-1", "us-gov-west-1",
	"ca-central-1", "ca-west-1", "mx-central-1", "sa-east-1",
	"eu-central-1", "eu-central-2", "eu-west-1", "eu-west-2", "eu-west-3", "eu-north-1", "eu-south-1", "eu-south-2",
	"eusc-de-east-1", "il-central-1", "me-central-1", "me-south-1", "af-south-1",
	"ap-east-1", "ap-east-2", "ap-northeast-1", "ap-northeast-2", "ap-northeast-3", "ap-south-1", "ap-south-2",
	"ap-southeast-1", "ap-southeast-2", "ap-southeast-3", "ap-southeast-4", "ap-southeast-5", "ap-southeast-6",
	"ap-southeast-7", "cn-north-1", "cn-northwest-1",
}

// regions warns of upstreams in regions that nobody knows. The stand-in has no region.
func (r *reviewer) regions() {
	check := func(path string, u *config.Upstream) {
		if u.Region != "" && u.Endpoint != config.Sandbox {
			r.warn(path+".region", unknownRegion(u.Region))
			r.warn(path+".endpoint", oddEndpoint(u))
		}
	}
	check("upstream", &r.Config.Upstream)
	for _, name := range slices.Sorted(maps.Keys(r.Config.Upstreams)) {
		u := r.Config.Upstreams[name]
		check(fmt.Sprintf("upstreams[%q]", name), &u)
	}
}

// oddEndpoint says what is odd about an endpoint of AWS, "" for nothing. Other hosts may be whatever they are, but a
// path of an operation is none of an endpoint.
func oddEndpoint(u *config.Upstream) string {
	at, err := url.Parse(u.Endpoint)
	if err != nil || at.Host == "" {
		return "" // which is a mistake of its own
	}
	labels := strings.Split(at.Hostname(), ".")
	of := func(service string) bool {
		return slices.ContainsFunc(labels, func(l string) bool { return strings.HasPrefix(l, service) })
	}
	domains := []string{".amazonaws.com", ".amazonaws.com.cn", ".api.aws", ".aws.amazon.com"}
	aws := slices.ContainsFunc(domains, func(d string) bool { return strings.HasSuffix(at.Hostname(), d) })
	other := func(l string) bool { return slices.Contains(awsRegions, l) && l != u.Region }
	elsewhere := slices.IndexFunc(labels, other)
	switch {
	case aws && !of("bedrock-runtime") && !of("bedrock-mantle"):
		return at.Hostname() + " does not serve models: without endpoint, bedrock-runtime of the region is asked"
	case aws && at.Scheme == "http":
		return "AWS is asked by https:// alone"
	case aws && elsewhere >= 0 && u.Region != "":
		return fmt.Sprintf("is in region %s, and region is %s: AWS refuses such signatures", labels[elsewhere], u.Region)
	case aws && strings.Trim(at.Path, "/") != "", strings.HasSuffix(strings.TrimSuffix(at.Path, "/"), "/model"):
		return "has the path " + at.Path + ", which calls would have before their own, /model/ID/converse: leave it out"
	}
	return ""
}

func unknownRegion(name string) string {
	if slices.Contains(awsRegions, name) {
		return ""
	}
	return fmt.Sprintf("AWS has no region %q that is known%s", name, similar.Hint(name, awsRegions))
}
