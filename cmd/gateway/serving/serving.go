// Package serving has the commands of who runs gateways: serve, check, keys,
// and a stand-in for Bedrock to try them on.
package serving

import "github.com/spf13/cobra"

// Commands are the commands of the package. They show version as the program's.
func Commands(version string) []*cobra.Command {
	return []*cobra.Command{
		serveCommand(version), checkCommand(), keysCommand(), sandboxCommand(), quickstartCommand(version),
	}
}
