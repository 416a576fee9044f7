package foreign

import (
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/config/syntax"
)

func TestWhat(t *testing.T) {
	f := func(wanted Kind, text, want string) {
		t.Helper()
		root, mistake := syntax.Parse([]byte(text))
		if mistake != nil {
			t.Fatal(mistake)
		}
		if got := What(wanted, root); want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
	const (
		litellm = `{"sample_spec": {"code": 1}, "nova": {"litellm_provider": "bedrock", "input_cost_per_token": 1e-6}}`
		offer   = `{"formatVersion": "v1.0", "offerCode": "AmazonBedrock", "products": {}, "terms": {}}`
		book    = "per: million\nprices: [{models: [x], input: 1}]"
		own     = "upstream: {region: us-east-1}\nprices: [mine.yaml]\ntenants: [{id: a}]"
	)
	for _, wanted := range []Kind{Configuration, PriceFile} {
		f(wanted, litellm, "LiteLLM's map of prices; 'gateway prices import")
		f(wanted, offer, "AWS's price list; 'gateway prices import")
		f(wanted, "model_list: []\ngeneral_settings: {}", "configuration of LiteLLM")
		f(wanted, "apiVersion: v1\nkind: ConfigMap\ndata: {}", "below data")
		f(wanted, "name: sluice\nservices: {gateway: {image: x}}", "Docker Compose")
		f(wanted, "image: {tag: x}\nconfig: {listen: x}\nreplicas: 2", "below config")
		f(wanted, "nonsense: 1", "")
		f(wanted, "services", "")
		f(wanted, "", "")
	}
	f(Configuration, book, "this is a price file")
	f(PriceFile, book, "")
	f(Configuration, own, "")
	f(PriceFile, own, "this is a configuration")
	f(Configuration, "prices: [mine.yaml]", "")
	f(PriceFile, "prices: []", "")
}
