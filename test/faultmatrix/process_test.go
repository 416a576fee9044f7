package faultmatrix

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/test/harness"
)

// process is a program under test that may die at any moment.
type process struct {
	cmd   *exec.Cmd
	ready chan struct{} // closed when a line of its output says that it serves
	done  chan struct{} // closed when it has ended and its output was read

	mu     sync.Mutex
	output strings.Builder
	listen string // from the line that says so
}

// spawn starts a program of the gateway. It does not wait.
func spawn(t testing.TB, program string, env []string, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(program, args...), ready: make(chan struct{}), done: make(chan struct{})}
	p.cmd.Env = append([]string{
		"SLUICE_ROOT_SECRET=" + harness.RootSecret, "AWS_ACCESS_KEY_ID=" + harness.UpstreamKeyID,
		"AWS_SECRET_ACCESS_KEY=" + harness.UpstreamSecret, "AWS_REGION=us-east-1", "AWS_EC2_METADATA_DISABLED=true",
		"AWS_CONFIG_FILE=/nonexistent", "AWS_SHARED_CREDENTIALS_FILE=/nonexistent", "PATH=" + os.Getenv("PATH"),
	}, env...)
	out, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go p.read(out)
	return p
}

func (p *process) read(out io.Reader) {
	defer close(p.done)
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		p.mu.Lock()
		p.output.WriteString(lines.Text() + "\n")
		p.mu.Unlock()
		var line struct{ Msg, Listen string }
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "serving" && p.listen == "" {
			p.listen = line.Listen
			close(p.ready)
		}
	}
	_ = p.cmd.Wait() // how it ended is read from ProcessState
}

// log is what the process has written so far.
func (p *process) log() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.output.String()
}

func (p *process) alive() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// ended waits for the end and reports whether it came in time.
func (p *process) ended(within time.Duration) bool {
	select {
	case <-p.done:
		return true
	case <-time.After(within):
		return false
	}
}

// kill ends the process as a crash does.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // fails only when it has ended
	<-p.done
}

// terminate sends SIGTERM and reports the exit code, -1 when it had to be killed.
func (p *process) terminate() int {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	if !p.ended(30 * time.Second) {
		p.kill()
		return -1
	}
	return p.cmd.ProcessState.ExitCode()
}

// standIn is the upstream: its log is the truth.
type standIn struct {
	url, served, invocations string
	proc                     *process
	// Where in its logs the current case began.
	offset, invocationsFrom int64
}

// script says what the stand-in does with a request by a word in its text.
const script = `rules:
- {match: {text: "#cached"}, answer: {cache_read_tokens: 70, cache_write_tokens: 50, cache_write_1h_tokens: 30}}
- {match: {tier: flex, text: "#flexbusy"}, error: {status: 429, type: ThrottlingException, message: "no"}}
- {match: {tier: flex, text: "#flexlate"}, delay: {first_byte: 900ms}}
- {match: {tier: flex, text: "#flexhang"}, fault: {hang: true}}
- {match: {model: "arn:*", text: "#doubt", every: 5}, fault: {hang: true}}
- {match: {model: "arn:*imported*", text: "#doubt"}, error: {status: 429, type: ModelNotReadyException, message: "no"}}
- {match: {model: "arn:*", text: "#full"}, error: {status: 429, type: ThrottlingException, message: "no"}}
- {match: {text: "#slow"}, delay: {frame: 4ms, first_byte: 10ms}}
- {match: {text: "#late"}, delay: {first_byte: 60ms}}
- {match: {text: "#invalid"}, error: {status: 400, type: ValidationException, message: "no"}}
- {match: {text: "#throttle"}, error: {status: 429, type: ThrottlingException, message: "no"}}
- {match: {text: "#broken"}, error: {status: 500, type: InternalServerException, message: "no"}}
- {match: {text: "#flaky", every: 2}, error: {status: 503, type: ServiceUnavailableException, message: "no"}}
- {match: {text: "#cut0"}, fault: {cut_after_frames: 0}}
- {match: {text: "#cut2"}, fault: {cut_after_frames: 2}}
- {match: {text: "#cutframe"}, fault: {cut_in_frame: 3}}
- {match: {text: "#cutbody"}, fault: {cut_in_body: true}}
- {match: {text: "#exception"}, fault: {exception_after_frames: 2}}
- {match: {text: "#crc"}, fault: {corrupt_crc: 3}}
- {match: {text: "#nousage"}, fault: {missing_usage: true}}
- {match: {text: "#blockin"}, answer: {stop_reason: guardrail_intervened, text: "blocked", input_tokens: 0, output_tokens: 0}}
- {match: {text: "#blockout"}, answer: {stop_reason: guardrail_intervened, text: "blocked", output_tokens: 40}}
- {match: {text: "#huge"}, answer: {input_tokens: 268435456, cache_read_tokens: 268435456}}
- {match: {text: "#absurd"}, answer: {input_tokens: 268435457}}
`

func startStandIn(t testing.TB) *standIn {
	t.Helper()
	dir, addr := t.TempDir(), harness.FreeAddr(t)
	s := &standIn{url: "http://" + addr, served: filepath.Join(dir, "served.jsonl"),
		invocations: filepath.Join(dir, "invocations.jsonl")}
	file := filepath.Join(dir, "script.yaml")
	if err := os.WriteFile(file, []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	s.proc = spawn(t, harness.Binary(t), nil, "sandbox", "--listen", addr, "--script", file, "--log", s.served,
		"--invocation-log", s.invocations,
		"--access-key-id", harness.UpstreamKeyID, "--secret-access-key", harness.UpstreamSecret)
	t.Cleanup(s.proc.kill)
	harness.Eventually(t, time.Minute, func() (bool, string) {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			return false, s.proc.log()
		}
		return conn.Close() == nil, ""
	})
	return s
}

// begin makes what is logged from now on belong to the next case.
func (s *standIn) begin(t testing.TB) {
	t.Helper()
	s.offset, s.invocationsFrom = sizeOf(s.served), sizeOf(s.invocations)
}

// sizeOf is the size of a file, 0 while there is none.
func sizeOf(file string) int64 {
	info, err := os.Stat(file)
	if err != nil {
		return 0
	}
	return info.Size()
}

// invoked is the invocation log of the current case.
func (s *standIn) invoked(t testing.TB) string {
	t.Helper()
	all, err := os.ReadFile(s.invocations)
	if err != nil {
		t.Fatal(err)
	}
	return string(all[s.invocationsFrom:])
}

// recordOf is the id of the record that a billed call was tagged with.
func recordOf(s *harness.Served) string { return s.Metadata[record.TagKey] }

// billed reads the truth of the current case.
func (s *standIn) billed(t testing.TB) []harness.Served {
	t.Helper()
	f, err := os.Open(s.served)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Seek(s.offset, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	var all []harness.Served
	lines := json.NewDecoder(f)
	for {
		var one harness.Served
		if err := lines.Decode(&one); err == io.EOF || err == io.ErrUnexpectedEOF {
			return all // half a line is still being written
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, one)
	}
}

// client is for callers of one gateway.
func newClient() *http.Client {
	return &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
}
