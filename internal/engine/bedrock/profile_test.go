package bedrock

import (
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/internal/role"
)

func TestInferenceProfile(t *testing.T) {
	const arn = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc"
	status, body := "200 OK", `{"models":[{"modelArn":"arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-lite-v1:0"},`+
		`{"modelArn":"arn:aws:bedrock:us-west-2::foundation-model/amazon.nova-lite-v1:0"}]}`
	targets := make(chan string, 9)
	endpoint := serve(t, func(_ int, p *peer) {
		for {
			req := p.request()
			if req == nil {
				return
			}
			targets <- req.Method + " " + req.RequestURI
			if !strings.Contains(req.Header.Get("Authorization"), "/bedrock/aws4_request") {
				t.Errorf("not signed: %v", req.Header)
			}
			p.say("HTTP/1.1 " + status + "\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body)
		}
	})
	e := newEngine(t, settings(endpoint))
	got, err := e.InferenceProfile(t.Context(), "", role.Role{}, arn)
	if want := "us.amazon.nova-lite-v1:0"; err != nil || got != want {
		t.Errorf("%q, %v", got, err)
	}
	if want := "GET /inference-profiles/" + strings.NewReplacer(":", "%3A", "/", "%2F").Replace(arn); <-targets != want {
		t.Errorf("not asked as %s", want)
	}
	status, body = "403 Forbidden", `{"message":"no"}`
	if got, err := e.InferenceProfile(t.Context(), "", role.Role{}, arn); err == nil {
		t.Errorf("a refusal: %q", got)
	}
}

func TestProfiledModel(t *testing.T) {
	model := func(region string) string {
		return `{"modelArn":"arn:aws:bedrock:` + region + `::foundation-model/a.b-v1:0"}`
	}
	for body, want := range map[string]string{
		model("eu-west-1"): "a.b-v1:0",
		model("eu-west-1") + "," + model("eu-north-1"):          "eu.a.b-v1:0",
		model("ap-northeast-1") + "," + model("ap-northeast-3"): "jp.a.b-v1:0",
		model("ap-southeast-2") + "," + model("ap-southeast-4"): "au.a.b-v1:0",
		model("ap-northeast-1") + "," + model("ap-south-1"):     "apac.a.b-v1:0",
		model("us-gov-west-1") + "," + model("us-gov-east-1"):   "us-gov.a.b-v1:0",
		model("us-west-1") + "," + model("eu-west-1"):           "global.a.b-v1:0",
		model("") + "," + model("us-west-1"):                    "global.a.b-v1:0",
		``:                                                      "",
		`{"modelArn":"arn:aws:bedrock:us-east-1:1:imported/x"}`: "",
	} {
		if got, err := profiledModel([]byte(`{"models":[` + body + `]}`)); got != want || (err != nil) != (want == "") {
			t.Errorf("%s: %q, %v", body, got, err)
		}
	}
}

func TestControlEndpoint(t *testing.T) {
	for runtime, want := range map[string]string{
		"https://bedrock-runtime.eu-west-1.amazonaws.com":      "https://bedrock.eu-west-1.amazonaws.com",
		"https://bedrock-runtime-fips.us-east-1.amazonaws.com": "https://bedrock-fips.us-east-1.amazonaws.com",
		"https://bedrock-runtime.us-east-1.api.aws":            "https://bedrock.us-east-1.api.aws",
		"http://127.0.0.1:8080/base":                           "http://127.0.0.1:8080/base",
	} {
		u, err := url.Parse(runtime)
		if err != nil {
			t.Fatal(err)
		}
		if got := siblingEndpoint(u, "bedrock").String(); got != want {
			t.Errorf("%s: %s, want %s", runtime, got, want)
		}
	}
}
