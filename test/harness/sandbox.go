package harness

import (
	"bufio"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// Sandbox is a running stand-in Bedrock.
type Sandbox struct {
	Addr    string
	LogFile string
	// InvocationLog is a file in the form of Bedrock's.
	InvocationLog string

	t   testing.TB
	cmd *exec.Cmd
}

// StartSandbox starts `gateway sandbox` with a script and the upstream
// credentials of the gateways under test.
func StartSandbox(t testing.TB, script string) *Sandbox {
	t.Helper()
	dir := t.TempDir()
	s := &Sandbox{t: t, Addr: FreeAddr(t), LogFile: filepath.Join(dir, "served.jsonl"),
		InvocationLog: filepath.Join(dir, "invocations.jsonl")}
	file := filepath.Join(dir, "script.yaml")
	if err := os.WriteFile(file, []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	log := &Buffer{}
	s.cmd = exec.Command(Binary(t), "sandbox", "--listen", s.Addr, "--script", file, "--log", s.LogFile, "--control",
		"--invocation-log", s.InvocationLog, "--access-key-id", UpstreamKeyID, "--secret-access-key", UpstreamSecret)
	s.cmd.Stdout, s.cmd.Stderr = log, log
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.cmd.Process.Kill()
		s.cmd.Wait()
		if t.Failed() {
			t.Logf("sandbox log:\n%s", log)
		}
	})
	Eventually(t, time.Minute, func() (bool, string) {
		conn, err := net.Dial("tcp", s.Addr)
		if err != nil {
			return false, err.Error() + "\n" + log.String()
		}
		conn.Close()
		return true, ""
	})
	return s
}

// URL is the stand-in's endpoint.
func (s *Sandbox) URL() string { return "http://" + s.Addr }

// Served is one line of the stand-in's log: what it billed.
type Served struct {
	RequestID    string `json:"request_id"`
	Operation    string `json:"operation"`
	Model        string `json:"model"`
	Mantle       bool   `json:"mantle"` // on the host bedrock-mantle
	Input        int64  `json:"input"`
	Output       int64  `json:"output"`
	CacheRead    int64  `json:"cache_read"`
	CacheWrite5m int64  `json:"cache_write_5m"`
	CacheWrite1h int64  `json:"cache_write_1h"`
	// GuardrailUnits are text units.
	GuardrailUnits int64             `json:"guardrail_units"`
	Status         int               `json:"status"`
	Stream         bool              `json:"stream"`
	Complete       bool              `json:"complete"`
	Metadata       map[string]string `json:"metadata"`
}

// Log reads what the stand-in has served so far.
func (s *Sandbox) Log() []Served {
	s.t.Helper()
	f, err := os.Open(s.LogFile)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		s.t.Fatal(err)
	}
	defer f.Close()
	var all []Served
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var v Served
		if err := json.Unmarshal(lines.Bytes(), &v); err != nil {
			s.t.Fatalf("the stand-in's log: %v in %s", err, lines.Text())
		}
		all = append(all, v)
	}
	return all
}
