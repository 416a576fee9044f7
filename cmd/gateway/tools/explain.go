package tools

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/cmd/gateway/command"
	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/config/userfile"
	"github.com/sluice-gateway/sluice/internal/explain"
	"github.com/sluice-gateway/sluice/internal/tenant"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// explainFlags are the flags as they were given.
type explainFlags struct {
	request, model, operation, text string
	input                           int
	output, maxTokens               int64
	tenant, key                     string
	noLedger                        bool
	header                          []string
	escalated, format               string
}

func explainCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "explain ID | explain --config FILE (--request FILE | --model MODEL --text TEXT)",
		Short: "Say what became of a request, or where one would go, why, and what it would cost",
		Long: "With the ID of a request (x-sluice-request-id), say who asked, what decided, each\n" +
			"call with tokens, cost and times, and where it was refused. The gateways of --config\n" +
			"and its ledger are asked, or those of --admin.\n\n" +
			"Without, say where a request would go, why, and what it would reserve and cost, and how\n" +
			"the budgets stand that it counts in. Nothing is sent, and what a gateway has learned\n" +
			"from its traffic is not in it. --no-ledger leaves budgets out.\n\n" +
			"The request file is an HTTP request (POST /model/ID/converse, header, empty line,\n" +
			"body), or a body alone, to which --model and --operation belong; - is stdin.",
		Example: "  gateway explain --config sluice.yaml 01M8JJHRB1FE77ND3FNE5YJWNK\n" +
			"  gateway explain --config sluice.yaml --model auto --input 40000\n" +
			"  gateway explain --config sluice.yaml --model auto --request body.json --tenant acme/support",
		Args: command.Args(cobra.MaximumNArgs(1)),
	}
	var f explainFlags
	var of command.Asked
	flags := cmd.Flags()
	flags.StringVar(&f.request, "request", "", "request `FILE`: HTTP or a body alone")
	flags.StringVar(&f.model, "model", "", "`MODEL` id or alias that the caller asks for")
	flags.StringVar(&f.operation, "operation", "converse",
		"`OPERATION`: converse, converse-stream, invoke, invoke-with-response-stream")
	flags.StringVar(&f.text, "text", "", "user's `TEXT`, instead of a request file")
	flags.IntVar(&f.input, "input", 0, "input `TOKENS`, instead of the estimate")
	flags.Int64Var(&f.output, "output", 500, "output `TOKENS` that an answer is expected to have")
	flags.Int64Var(&f.maxTokens, "max-tokens", 0, "output cap in `TOKENS` that the caller asks for, with --text")
	flags.StringVar(&f.tenant, "tenant", "", "`TENANT` that asks; default the key's, or the only one")
	flags.StringVar(&f.key, "key", "", "`KEY_ID` that asks")
	flags.StringArrayVar(&f.header, "header", nil, "a header `FIELD`, \"name: value\"; repeatable")
	flags.StringVar(&f.escalated, "escalated", "", "`SHARE` of such requests that escalate after a first answer")
	flags.BoolVar(&f.noLedger, "no-ledger", false, "do not read how budgets stand")
	flags.StringVar(&f.format, "format", "text", "text or json")
	of.File = command.ConfigFlag(cmd)
	of.Flag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return f.find(cmd, &of, args[0])
		}
		cfg, err := command.LoadToRead(*of.File)
		if err != nil {
			return err
		}
		return f.run(cmd, cfg)
	}
	return cmd
}

// find prints what became of a request.
func (f *explainFlags) find(cmd *cobra.Command, of *command.Asked, id string) error {
	if f.format != "text" && f.format != "json" {
		return command.Invalidf("there is no format %q; there are text and json", f.format)
	}
	return findRequest(cmd, of, id, f.format)
}

func (f *explainFlags) run(cmd *cobra.Command, cfg *config.Config) error {
	if f.format != "text" && f.format != "json" {
		return command.Invalidf("there is no format %q; there are text and json", f.format)
	}
	snap, err := command.Compile(cfg)
	if err != nil {
		return err
	}
	r, err := f.read(cmd.InOrStdin(), cfg.BasePath)
	if err != nil {
		return command.Invalid(err)
	}
	if r.Tenant, err = f.asking(cfg, snap.Tenants); err != nil {
		return command.Invalid(err)
	}
	if f.escalated != "" {
		if r.Escalated, err = decimal("escalated", f.escalated); err != nil {
			return command.Invalid(err)
		}
		if r.Escalated.Cmp(big.NewRat(1, 1)) > 0 {
			return command.Invalidf("--escalated is a share from 0 to 1")
		}
	}
	r.Key, r.Now, r.Input, r.Output = f.key, time.Now(), f.input, f.output
	e := explain.Explain(snap, r)
	if !f.noLedger {
		addBudgets(cmd.Context(), cfg, e)
	}
	if f.format == "json" {
		return e.WriteJSON(cmd.OutOrStdout())
	}
	return e.WriteText(cmd.OutOrStdout())
}

// addBudgets adds how the budgets stand that the request counts in.
func addBudgets(ctx context.Context, cfg *config.Config, e *explain.Explanation) {
	all, err := command.ReadBudgetsOn(ctx, cfg, e.Tenant, e.Key)
	if err != nil && e.Held {
		e.BudgetsUnknown = err.Error()
	}
	for i := range all {
		e.Budgets = append(e.Budgets, &all[i])
	}
}

// read makes the request that the flags describe.
func (f *explainFlags) read(stdin io.Reader, basePath string) (*explain.Request, error) {
	r, err := f.described(stdin, basePath)
	if err != nil {
		return nil, err
	}
	switch r.Op {
	case wire.OpConverse, wire.OpConverseStream, wire.OpInvoke, wire.OpInvokeStream:
	default:
		return nil, fmt.Errorf("%s is not routed; "+
			"explain knows converse, converse-stream, invoke and invoke-with-response-stream", r.Op)
	}
	if r.Model = cmp.Or(f.model, r.Model); r.Model == "" {
		return nil, errors.New("--model MODEL is needed")
	}
	const most = 1 << 28
	if f.input < 0 || f.input > most || f.output < 0 || f.output > most || f.maxTokens < 0 {
		return nil, fmt.Errorf("--input, --output and --max-tokens are counts of tokens up to %d", most)
	}
	for _, line := range f.header {
		field, err := explain.ParseField(line)
		if err != nil {
			return nil, err
		}
		r.Header = append(r.Header, field)
	}
	return r, nil
}

func (f *explainFlags) described(stdin io.Reader, basePath string) (*explain.Request, error) {
	op, ok := wire.ParseOperation(f.operation)
	if !ok {
		return nil, fmt.Errorf("there is no operation %q", f.operation)
	}
	if f.request == "" {
		if op != wire.OpConverse && op != wire.OpConverseStream {
			return nil, fmt.Errorf("the body of %s depends on the model's family: give it with --request", op)
		}
		return &explain.Request{Op: op, Body: explain.ConverseBody(f.text, f.maxTokens)}, nil
	}
	data, err := readFile(f.request, stdin)
	if err != nil {
		return nil, err
	}
	if start := bytes.TrimSpace(data); len(start) > 0 && start[0] != '{' {
		return explain.ParseHTTP(data, basePath)
	}
	return &explain.Request{Op: op, Body: data}, nil
}

func readFile(name string, stdin io.Reader) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(stdin)
	}
	return userfile.UTF8(name)
}

// asking is the tenant that would ask.
func (f *explainFlags) asking(cfg *config.Config, tenants *tenant.Directory) (*tenant.Tenant, error) {
	id := f.tenant
	ids := make([]string, len(cfg.Tenants))
	for i := range cfg.Tenants {
		t := &cfg.Tenants[i]
		ids[i] = t.ID
		if f.key != "" && slices.Contains(t.Keys, f.key) {
			if id != "" && id != t.ID {
				return nil, fmt.Errorf("key %s belongs to tenant %s, not %s", f.key, t.ID, id)
			}
			id = t.ID
		}
	}
	if id == "" && f.key != "" {
		return nil, fmt.Errorf("no tenant of the configuration has the key %s; when it was issued at run time, "+
			"--tenant names whose it is", f.key)
	}
	if id == "" && len(ids) == 1 {
		id = ids[0]
	}
	if found := tenants.Lookup(id); found != nil {
		return found, nil
	}
	if id != "" {
		return nil, fmt.Errorf("the configuration has no tenant %q; --tenant takes one of %s", id, strings.Join(ids, ", "))
	}
	return nil, fmt.Errorf("--tenant TENANT is needed, one of %s", strings.Join(ids, ", "))
}
