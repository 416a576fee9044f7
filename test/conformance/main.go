// Command conformance checks what a Bedrock gateway owes its callers. It is the upstream of the gateway under test
// and its callers at once, so it sees both sides of each request. It prints a row for each check, with what it saw.
//
//	conformance -url http://127.0.0.1:8080 -key KEY -upstream 127.0.0.1:8099
//
// The gateway's endpoint of Bedrock must be the address of -upstream. Without -url it starts the program of -program
// and checks that one. The exit code is 1 when a check failed. docs/conformance.md has the rows.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

type options struct {
	target
	upstream, program, rows, out, clients, pair string
}

func main() {
	var o options
	flag.StringVar(&o.url, "url", "", "the gateway; absent: one of -program, started here")
	flag.StringVar(&o.key, "key", "", "a key of it without cap and budget, sent as bearer token")
	flag.StringVar(&o.pair, "pair", "", "the same key as AWS key pair: ID:SECRET")
	flag.StringVar(&o.capped, "capped", "", "a bearer key under a cap of output tokens")
	flag.Int64Var(&o.most, "cap", 300, "the cap of -capped")
	flag.StringVar(&o.dollar, "dollar", "", "a bearer key with one dollar to spend, not spent yet")
	flag.StringVar(&o.ca, "ca", "", "a file of authorities for https")
	flag.StringVar(&o.upstream, "upstream", "127.0.0.1:8099", "where the gateway finds its Bedrock: this program")
	flag.StringVar(&o.program, "program", "bin/gateway", "a program to start when there is no -url")
	flag.StringVar(&o.rows, "rows", "", "a regular expression of rows; absent: all")
	flag.StringVar(&o.out, "json", "", "a file for the rows as JSON")
	flag.StringVar(&o.clients, "clients", ".", "the directory with test/clients and .tools; \"\": no clients")
	flag.Parse()
	failed, err := conform(o)
	if err != nil {
		fmt.Fprintln(os.Stderr, "conformance:", err)
		os.Exit(2)
	}
	if failed {
		os.Exit(1)
	}
}

// conform checks one gateway and prints the table.
func conform(o options) (failed bool, err error) {
	rows, err := regexp.Compile(o.rows)
	if err != nil {
		return false, err
	}
	if o.url != "" && o.key == "" {
		return false, fmt.Errorf("-url needs -key")
	}
	if o.pair != "" {
		o.id, o.secret, _ = strings.Cut(o.pair, ":")
	}
	listenOn := o.upstream
	if o.url == "" {
		listenOn = "127.0.0.1:0"
	}
	up, err := listen(listenOn)
	if err != nil {
		return false, err
	}
	defer up.close()
	if o.url == "" {
		started, err := startOwn(o.program, up.url, "")
		if err != nil {
			return false, err
		}
		defer started.stop()
		o.target = started.target
	}
	o.url = strings.TrimSuffix(o.url, "/")
	s, err := newSuite(o.target, up)
	if err != nil {
		return false, err
	}
	if o.clients != "" {
		if s.clients, err = filepath.Abs(o.clients); err != nil {
			return false, err
		}
	}
	fmt.Printf("%s, with its Bedrock at %s\n", o.url, up.url)
	results := s.run(rows.MatchString, func(r result) { fmt.Printf("%-4s  %-26s  %s\n", r.Verdict, r.ID, r.Evidence) })
	return summary(results, o.out)
}

// summary counts the verdicts and writes the rows to a file.
func summary(results []result, file string) (failed bool, err error) {
	n := map[string]int{}
	for _, r := range results {
		n[r.Verdict]++
	}
	fmt.Printf("%d pass, %d fail, %d not run\n", n["pass"], n["fail"], n["skip"])
	if file != "" {
		text, err := json.MarshalIndent(results, "", "  ")
		if err != nil {
			return false, err
		}
		if err := os.WriteFile(file, append(text, '\n'), 0o600); err != nil {
			return false, err
		}
	}
	return n["fail"] > 0, nil
}
