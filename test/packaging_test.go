package test

import (
	"bytes"
	"os"
	"testing"

	"github.com/sluice-gateway/sluice/test/harness"
)

// mostBytes is how large the program may become. It is stripped when `make` built it.
const mostBytes = 40_000_000

// TestBinaryIsLean: the linker leaves out the methods that nothing calls. It cannot when something can call methods
// by a name known only at run time, as templates do: then each exported method of every type stays, half as much
// again. This names the library that brings it back:
//
//	go build -ldflags=-dumpdep ./cmd/gateway 2>&1 | grep ReflectMethod
func TestBinaryIsLean(t *testing.T) {
	program := harness.Binary(t)
	data, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"text/template.(*state).evalField", "google.golang.org/grpc.(*ClientConn)",
		"aws-sdk-go-v2/service/bedrockruntime", "net/http/pprof.Index"} {
		if bytes.Contains(data, []byte(name)) {
			t.Errorf("the program has %s", name)
		}
	}
	if os.Getenv("SLUICE_BIN") != "" && len(data) > mostBytes {
		t.Errorf("the program has %d bytes, at most %d are wanted", len(data), mostBytes)
	}
}
