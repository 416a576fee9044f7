package masked

import (
	"testing"
	"unicode/utf8"
)

func TestLine(t *testing.T) {
	f := func(line, want string) {
		t.Helper()
		got := Line(line)
		if got != want {
			t.Errorf("%s: %s, want %s", line, got, want)
		}
		if utf8.RuneCountInString(got) != utf8.RuneCountInString(line) {
			t.Errorf("%s: columns have moved", line)
		}
	}
	f("[slk_SLKAAA_ab2c, slk_SLKBBB_d7]", "[slk_SLKAAA_****, slk_SLKBBB_**]")
	f("[slk_slk_SLKAAA_ab2c]", "[slk_slk_SLKAAA_****]")
	f("[slk_] # the id alone: slk_SLK", "[slk_] # the id alone: slk_SLK")
	f("[slk_SLKAAA_] # é", "[slk_SLKAAA_] # é")

	f("admin: {token: hunter2, lisen: x}", "admin: {token: *******, lisen: x}")
	f("\ttoken: hunter é2  ", "\ttoken: *********  ")
	f(`admin: {token: "hunter, 2", lisen: x}`, `admin: {token: "*********", lisen: x}`)
	f(`admin: {token: "hunter`, `admin: {token: "******`)
	f("admin: {token: [hunter2]}", "admin: {token: [*******]}")
	f("admin: {token: a, token: b}", "admin: {token: *, token: *}")
	f(`{"token": "hunter2"}`, `{"token": "*******"}`)
	f("oidc: {client_secret: 'x', isuer: y}", "oidc: {client_secret: '*', isuer: y}")
	f("bearer_token: abc", "bearer_token: ***")
	f("webhook_secrt: abc", "webhook_secrt: ***")
	f("password: abc", "password: ***")
	f("secret_access_key: abc", "secret_access_key: ***")
	f(`redis: "redis://u:p/w@h:6379/0"`, `redis: "redis://u:***@h:6379/0"`)
	f("proxy: ftp://:pw@h", "proxy: ftp://:**@h")

	f("webhook: https://hooks.slack.com/services/T0/xyz # ours", "webhook: https://hooks.slack.com/*************** # ours")
	f(`{id: a, webhok: "https://h.example/x?y", keys: []}`, `{id: a, webhok: "https://h.example/***", keys: []}`)
	f("endpoint: https://h/x?token=abc&b=1", "endpoint: https://h/x?token=***&b=1")
	f("redis: rediss://h:6379/0?password=abc&ca_file=/x.pem", "redis: rediss://h:6379/0?password=***&ca_file=/x.pem")

	for _, shown := range []string{
		`token: "${SLUICE_ADMIN_TOKEN:-}"`, "token: ${TOKEN}", "token: $TOKEN", "token:", "token: # none",
		"output_tokens: {default: 500, max: 1000}", "tokens_per_minute: 200000", "input_tokens: 5",
		"if: request.input_tokens > 30000", "keys: [SLKBCBJRLH4F6I2RKKZ5XMML]", "redis: redis://h:6379/0",
		"endpoint: https://h:8443/x", "webhook: https://hooks.example", "webhook: ${SLUICE_WEBHOOK}",
		"redis: rediss://h:6379/0?ca_file=/x.pem&key=${KEY}", "external_id: sluice-7f3a",
	} {
		f(shown, shown)
	}
	f("token: ${TOKEN:-hunter2}", "token: ****************}")
}
