package tools

import (
	"io"

	"github.com/spf13/pflag"

	"github.com/sluice-gateway/sluice/cmd/gateway/command"
)

// printed is a result in both of its formats.
type printed interface {
	WriteTable(w io.Writer) error
	WriteJSON(w io.Writer) error
}

// format is how a result is printed: table or json.
type format string

func (f *format) add(flags *pflag.FlagSet) {
	flags.StringVar((*string)(f), "format", "table", "table or json")
}

// check refuses what is no format.
func (f format) check() error {
	if f != "table" && f != "json" {
		return command.Invalidf("there is no format %q; there are table and json", string(f))
	}
	return nil
}

func (f format) write(w io.Writer, result printed) error {
	if f == "json" {
		return result.WriteJSON(w)
	}
	return result.WriteTable(w)
}
