package serving

import (
	"context"
	"fmt"
	"net"
	"os"

	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/cmd/gateway/command"
	"github.com/sluice-gateway/sluice/config/userfile"
	"github.com/sluice-gateway/sluice/internal/engine/sandbox"
)

func sandboxCommand() *cobra.Command {
	var o sandbox.Options
	cmd := &cobra.Command{
		Use:   "sandbox --listen ADDR",
		Short: "Run a stand-in for Bedrock with the real wire and canned answers",
		Args:  command.Args(cobra.NoArgs),
	}
	listen := cmd.Flags().String("listen", "127.0.0.1:8081", "`ADDR` to listen on")
	script := cmd.Flags().String("script", "", "`FILE` of rules: answers, delays, errors, faults")
	cmd.Flags().StringVar(&o.LogPath, "log", "", "`FILE` that gets a line for each call with the tokens that it billed")
	cmd.Flags().StringVar(&o.InvocationLogPath, "invocation-log", "",
		"`FILE` in the form of Bedrock's model invocation log")
	cmd.Flags().StringVar(&o.AccessKeyID, "access-key-id", "", "access key `ID` that callers sign with")
	cmd.Flags().StringVar(&o.SecretAccessKey, "secret-access-key", "", "its `SECRET`")
	cmd.Flags().StringVar(&o.BearerToken, "bearer-token", "", "`TOKEN` that callers may send instead")
	cmd.Flags().BoolVar(&o.Control, "control", false, "serve /_sandbox/ to read the log and change the script")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if _, _, err := net.SplitHostPort(*listen); err != nil {
			return command.Invalidf("--listen %s: want HOST:PORT, such as 127.0.0.1:8081", *listen)
		}
		if *script != "" {
			data, err := userfile.UTF8(*script)
			if err != nil {
				return command.Invalid(err)
			}
			if o.Script, err = sandbox.LoadScript(data); err != nil {
				return command.Invalidf("%s: %w", *script, err)
			}
		}
		return runSandbox(cmd.Context(), o, *listen)
	}
	return cmd
}

func runSandbox(ctx context.Context, o sandbox.Options, listen string) error {
	server, err := sandbox.New(o)
	if err != nil {
		return err
	}
	url, err := server.Start(listen)
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "sandbox: a stand-in for Bedrock with canned answers on %s\n", url)
	<-ctx.Done()
	return server.Close()
}
