package keys

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/cmd/gateway/command"
	"github.com/sluice-gateway/sluice/config/userfile"
	"github.com/sluice-gateway/sluice/internal/keys"
	"github.com/sluice-gateway/sluice/internal/keys/admin"
	"github.com/sluice-gateway/sluice/internal/tenant"
)

// remoteFlags adds the flags by which all commands on keys act through a gateway elsewhere.
func remoteFlags(cmd *cobra.Command) {
	cmd.PersistentFlags().String("admin", "",
		"`URL` of a running gateway's admin port, to act there in place of --config.\n"+
			"Its admin.token is in "+command.AdminToken+" or in --token-file")
	cmd.PersistentFlags().String("token-file", "", "`FILE` with the admin.token of --admin")
	cmd.MarkFlagFilename("token-file") //nolint:errcheck // the flag was just added
}

// remote is the API on keys of a gateway elsewhere.
type remote struct {
	base, token string
	client      *http.Client
}

// elsewhere is the gateway that --admin names, nil for none.
func elsewhere(cmd *cobra.Command) (*remote, error) {
	flag := func(name string) string { return cmd.Flag(name).Value.String() }
	at := flag("admin")
	switch {
	case at == "" && flag("token-file") == "":
		return nil, nil
	case at == "":
		return nil, command.Invalidf("--token-file is for --admin URL")
	case flag("config") != "":
		return nil, command.Invalidf("either --config FILE, to act here, or --admin URL, to act elsewhere")
	}
	u, err := url.Parse(at)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, command.Invalidf("--admin %q is no URL such as https://gateway.example.com:9090", at)
	}
	if u.User != nil {
		return nil, command.Invalidf("--admin has no user and password; the token is in %s or --token-file",
			command.AdminToken)
	}
	token, err := adminToken(flag("token-file"))
	if err != nil {
		return nil, err
	}
	if ip, err := netip.ParseAddr(u.Hostname()); u.Scheme == "http" && u.Hostname() != "localhost" &&
		(err != nil || !ip.IsLoopback()) {
		fmt.Fprintf(cmd.ErrOrStderr(), "warning: the token goes to %s unencrypted; https or a tunnel keeps it secret\n",
			u.Host)
	}
	const within = 15 * time.Second
	noFurther := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse } // with the token
	return &remote{
		strings.TrimSuffix(u.String(), "/") + admin.Prefix, token, &http.Client{Timeout: within, CheckRedirect: noFurther},
	}, nil
}

func adminToken(file string) (string, error) {
	token := os.Getenv(command.AdminToken)
	if file != "" {
		text, err := userfile.UTF8(file)
		if err != nil {
			return "", command.Invalid(err)
		}
		token = strings.TrimSpace(string(text))
	}
	if token == "" {
		return "", command.Invalidf("the gateway's admin.token is needed, in %s or in --token-file FILE",
			command.AdminToken)
	}
	return token, nil
}

// ask sends a request and reads the answer into out. What the caller asked wrongly is an
// error of theirs.
func (r *remote) ask(ctx context.Context, method, path, version string, body, out any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, r.base+path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	if body == nil {
		req.Body, req.ContentLength = nil, 0
	}
	req.Header.Set("Authorization", "Bearer "+r.token)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(admin.ActorHeader, person())
	if version != "" {
		req.Header.Set("If-Match", `"`+version+`"`)
	}
	res, err := r.client.Do(req)
	if err != nil {
		var of *url.Error
		if errors.As(err, &of) {
			err = of.Err
		}
		return fmt.Errorf("no gateway answers at %s: %w", req.URL.Host, err)
	}
	defer res.Body.Close() //nolint:errcheck // it was only read
	const most = 64 << 20
	answer, err := io.ReadAll(io.LimitReader(res.Body, most))
	if err != nil {
		return fmt.Errorf("the gateway's answer breaks off: %w", err)
	}
	if res.StatusCode >= http.StatusMultipleChoices {
		return refusal(res, answer)
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("%s answers with something else than a gateway; is it an admin port?", req.URL.Host)
	}
	return nil
}

// refusal is the error of an answer.
func refusal(res *http.Response, answer []byte) error {
	var problem struct{ Detail string }
	if json.Unmarshal(answer, &problem) != nil || problem.Detail == "" {
		return fmt.Errorf("the answer is %s, and not of a gateway's API on keys: is --admin an admin port?", res.Status)
	}
	err := errors.New(problem.Detail)
	if res.StatusCode == http.StatusUnauthorized {
		err = fmt.Errorf("the gateway does not take the token: %w", err)
	}
	if res.StatusCode < http.StatusInternalServerError {
		return command.Invalid(err)
	}
	return err
}

// printActed prints a key after an act, perhaps with its credentials, and says when others do
// not know yet of what was done.
func printActed(cmd *cobra.Command, k *admin.WithCredentials, asJSON bool) error {
	if k.Waiting {
		fmt.Fprintln(cmd.ErrOrStderr(), "warning: the act waits for the ledger; other gateways do not know of it yet")
	}
	switch {
	case k.Bearer == "":
		return printOne(cmd, &k.Key, asJSON)
	case asJSON:
		return json.NewEncoder(cmd.OutOrStdout()).Encode(k)
	}
	return printCredentials(cmd.OutOrStdout(), &tenant.Credentials{
		KeyID: k.ID, Bearer: k.Bearer, AccessKeyID: k.AccessKeyID, SecretAccessKey: k.SecretAccessKey,
	}, "\n"+describe(&k.Key))
}

// reasonOf is the body of an act that needs nothing else.
func reasonOf(cmd *cobra.Command) map[string]any {
	body := map[string]any{}
	if reason := cmd.Flag("reason").Value.String(); reason != "" {
		body["reason"] = reason
	}
	return body
}

// act does what the command is called to a key.
func (r *remote) act(cmd *cobra.Command, id string, asJSON bool) error {
	return r.actWith(cmd, id, reasonOf(cmd), asJSON)
}

func (r *remote) actWith(cmd *cobra.Command, id string, body map[string]any, asJSON bool) error {
	var k admin.WithCredentials
	err := r.ask(cmd.Context(), http.MethodPost, "/"+url.PathEscape(id)+"/"+cmd.Name(), "", body, &k)
	if err != nil {
		return err
	}
	return printActed(cmd, &k, asJSON)
}

// change applies flags to the settings that a key has.
func (r *remote) change(cmd *cobra.Command, id string, f *settingsFlags, asJSON bool) error {
	var k admin.WithCredentials
	path := "/" + url.PathEscape(id)
	if err := r.ask(cmd.Context(), http.MethodGet, path, "", nil, &k); err != nil {
		return err
	}
	set := k.Settings
	if err := f.apply(cmd, &set); err != nil {
		return err
	}
	body := reasonOf(cmd)
	for name, value := range map[string]any{"name": set.Name, "owner": set.Owner, "expires": set.Expires,
		"networks": set.Networks, "budgets": set.Budgets, "limits": set.Limits} {
		body[name] = value
	}
	version := k.Version
	k = admin.WithCredentials{}
	if err := r.ask(cmd.Context(), http.MethodPatch, path, version, body, &k); err != nil {
		return err
	}
	return printActed(cmd, &k, asJSON)
}

// issue makes a key that is valid at once.
func (r *remote) issue(cmd *cobra.Command, f *settingsFlags, tenant string, asJSON bool) error {
	var set keys.Settings
	if err := f.apply(cmd, &set); err != nil {
		return err
	}
	body := struct {
		Tenant string `json:"tenant"`
		Reason string `json:"reason,omitempty"`
		keys.Settings
	}{tenant, cmd.Flag("reason").Value.String(), set}
	var k admin.WithCredentials
	if err := r.ask(cmd.Context(), http.MethodPost, "", "", body, &k); err != nil {
		return err
	}
	return printActed(cmd, &k, asJSON)
}

// tenant freezes or unfreezes all keys of a tenant, as the command is called.
func (r *remote) tenant(cmd *cobra.Command, id string) error {
	body := reasonOf(cmd)
	body["tenant"] = id
	frozen, err := r.frozen(cmd.Context(), http.MethodPost, "/tenants/"+cmd.Name(), body)
	if err == nil {
		fmt.Fprintf(cmd.OutOrStdout(), "frozen tenants: %v\n", frozen)
	}
	return err
}

func (r *remote) frozen(ctx context.Context, method, path string, body any) ([]string, error) {
	var answer struct{ Frozen []string }
	err := r.ask(ctx, method, path, "", body, &answer)
	return answer.Frozen, err
}

// list lists keys, of a tenant and those below it, "" for all.
func (r *remote) list(cmd *cobra.Command, of string, asJSON bool) error {
	var answer struct {
		Keys []admin.Key
		Note string `json:"last_used_note"`
	}
	err := r.ask(cmd.Context(), http.MethodGet, "?tenant="+url.QueryEscape(of), "", nil, &answer)
	if err != nil {
		return err
	}
	if answer.Note != "" {
		fmt.Fprintf(cmd.ErrOrStderr(), "warning: last use is %s\n", answer.Note)
	}
	frozen, err := r.frozen(cmd.Context(), http.MethodGet, "/tenants", nil)
	if err != nil {
		return err
	}
	return printList(cmd, answer.Keys, frozen, asJSON)
}

// show prints a key and its credentials.
func (r *remote) show(cmd *cobra.Command, id string, asJSON bool) error {
	var k admin.WithCredentials
	err := r.ask(cmd.Context(), http.MethodGet, "/"+url.PathEscape(id)+"/credentials", "", nil, &k)
	if err != nil {
		return err
	}
	k.Waiting = false // nothing was done
	return printActed(cmd, &k, asJSON)
}

// audit prints the log of acts as that gateway has it.
func (r *remote) audit(cmd *cobra.Command, asJSON bool) error {
	var a admin.Audit
	if err := r.ask(cmd.Context(), http.MethodGet, "/audit", "", nil, &a); err != nil {
		return err
	}
	return reportAudit(cmd, &a, asJSON)
}
