package perimeter

import (
	"context"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/config"
)

// TestKnowledge: knowledge bases, agents, models, keys and guardrails in bodies of bedrock-agent-runtime are held
// against the lists, wherever they are.
func TestKnowledge(t *testing.T) {
	p := Compile(&config.Config{
		AllowedAccounts: []string{"111122223333"}, AllowedKnowledge: []string{"KB*", "AG1/*", "arn:*"},
		AllowedGuardrails: []string{"mine"},
		Tenants: []config.Tenant{
			{ID: "acme", Resources: &config.Resources{Knowledge: []string{"KBACME*", "AG1/*", "arn:*"}}},
		},
	})
	s := &Signer{Tenant: "acme/app"}
	f := func(name, says string) {
		t.Helper()
		err := p.Knowledge(context.Background(), s, name)
		if (err != nil) != (says != "") || err != nil && !strings.Contains(err.Message, says) {
			t.Errorf("%s: %v, want %q", name, err, says)
		}
	}
	const of = "arn:aws:bedrock:us-east-1:"
	f("KBACME1", "")
	f("AG1/LIVE", "")
	f("KBOTHER", "allowed_knowledge")
	f("AG2/LIVE", "allowed_knowledge")
	f(of+"111122223333:knowledge-base/KB1", "")
	f(of+"999999999999:knowledge-base/KB1", "account 999999999999")
	f(of+"111122223333:guardrail/x", "not a well-formed ARN")

	body := func(text, says string) {
		t.Helper()
		err := p.Body(context.Background(), s, "us-east-1", []byte(text))
		if (err != nil) != (says != "") || err != nil && !strings.Contains(err.Message, says) {
			t.Errorf("%s: %v, want %q", text, err, says)
		}
	}
	body(`{"a":{"b":[{"knowledgeBaseId":"KBACME2","modelArn":"amazon.nova-lite-v1:0"}]}}`, "")
	body(`{"a":{"b":[{"knowledgeBaseId":"KBOTHER"}]}}`, "allowed_knowledge")
	body(`{"a":{"modelArn":"`+of+`999999999999:inference-profile/us.x.y"}}`, "account 999999999999")
	body(`{"a":{"modelArn":"`+of+`111122223333:knowledge-base/x"}}`, "not a well-formed ARN")
	body(`{"sessionConfiguration":{"kmsKeyArn":"arn:aws:kms:us-east-1:999999999999:key/x"}}`, "account 999999999999")
	body(`{"guardrailConfiguration":{"guardrailId":"other","guardrailVersion":"1"}}`, "allowed_guardrails")
	body(`{"guardrailConfiguration":{"guardrailId":"mine","guardrailVersion":"1"}}`, "")
}
