package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/sluice-gateway/sluice/internal/money"
)

// line is one request in OUT.
type line struct {
	ID          string `json:"id"`
	Tag         string `json:"request"` // the shuffled id
	Task        string `json:"task"`
	Cascade     string `json:"cascade"`
	Stream      bool   `json:"stream"`
	Path        string `json:"path"`
	ServedModel string `json:"served_model"`
	Reason      string `json:"reason"`
	Certificate string `json:"certificate"` // "" in mode check
	SHA256      string `json:"sha256"`
	Legs        []leg  `json:"legs"`

	job    job
	served string // the model as recorded
}

type leg struct {
	Model  string          `json:"model"`
	Input  int             `json:"input_tokens"`
	Output int             `json:"output_tokens"`
	Cost   json.RawMessage `json:"cost_usd"`

	cost money.Pico
}

// gateway is the built binary as a process.
type gateway struct {
	bin, dir, addr string
	env            []string
	bearer         string
	cmd            *exec.Cmd
}

func (g *gateway) run(args ...string) ([]byte, error) {
	cmd := exec.Command(g.bin, args...)
	cmd.Env = g.env
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return nil, fmt.Errorf("gateway %v: %w: %s", args, err, exit.Stderr)
	}
	return out, err
}

func (g *gateway) config() string { return filepath.Join(g.dir, "sluice.yaml") }

// start issues a key, writes the configuration and waits until the gateway is
// ready.
func (g *gateway) start(ids renamed, upstream string) error {
	g.env = append(os.Environ(), "SLUICE_ROOT_SECRET=root secret of an evaluation")
	out, err := g.run("keys", "new", "--tenant", "eval", "--json")
	if err != nil {
		return err
	}
	var key struct {
		KeyID  string `json:"key_id"`
		Bearer string `json:"bearer"`
	}
	if err := json.Unmarshal(out, &key); err != nil {
		return err
	}
	g.bearer = key.Bearer
	admin := freeAddr()
	g.addr = freeAddr()
	main, prices, models := configuration(ids, upstream, key.KeyID)
	main = fmt.Sprintf("listen: %s\nadmin: {listen: %s}\ndata_dir: ./data\n", g.addr, admin) + main
	for name, text := range map[string]string{"sluice.yaml": main, "prices.yaml": prices, "models.yaml": models} {
		if err := os.WriteFile(filepath.Join(g.dir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	log, err := os.Create(filepath.Join(g.dir, "log"))
	if err != nil {
		return err
	}
	defer log.Close()
	g.cmd = exec.Command(g.bin, "serve", "--config", g.config())
	g.cmd.Env, g.cmd.Stdout, g.cmd.Stderr = g.env, log, log
	if err := g.cmd.Start(); err != nil {
		return err
	}
	return g.waitReady(admin)
}

func (g *gateway) waitReady(admin string) error {
	for range 400 {
		if res, err := http.Get("http://" + admin + "/readyz"); err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return nil
			}
		}
		time.Sleep(25 * time.Millisecond)
	}
	log, _ := os.ReadFile(filepath.Join(g.dir, "log"))
	g.stop()
	return fmt.Errorf("the gateway does not become ready: %s", log)
}

// stop lets the gateway drain what it has under way.
func (g *gateway) stop() error {
	if err := g.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	return g.cmd.Wait()
}

// spent is what the gateway's own books say, over all legs.
func (g *gateway) spent() (money.Pico, error) {
	out, err := g.run("report", "--config", g.config(), "--by", "path", "--format", "json")
	if err != nil {
		return 0, err
	}
	var rows []struct {
		Cost string `json:"cost_usd"`
	}
	if err := json.Unmarshal(out, &rows); err != nil {
		return 0, err
	}
	var sum money.Pico
	for _, r := range rows {
		p, err := money.ParseDollars(r.Cost)
		if err != nil {
			return 0, err
		}
		sum += p
	}
	return sum, nil
}

func freeAddr() string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "127.0.0.1:0"
	}
	defer ln.Close()
	return ln.Addr().String()
}

// callers is how many requests are under way at a time.
const callers = 8

// replay sends all jobs and returns a line for each, in their order.
func (g *gateway) replay(jobs []job, back map[string]string) ([]line, error) {
	lines, errs := make([]line, len(jobs)), make([]error, len(jobs))
	next := make(chan int)
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			for i := range next {
				lines[i], errs[i] = g.ask(jobs[i], back)
			}
		})
	}
	for i := range jobs {
		next <- i
	}
	close(next)
	all.Wait()
	return lines, errors.Join(errs...)
}

func (g *gateway) ask(j job, back map[string]string) (line, error) {
	body, err := json.Marshal(converseBody{
		Messages: []message{{Role: "user", Content: []part{{j.row.Prompt}}}},
		Metadata: map[string]string{tagMember: j.tag},
	})
	if err != nil {
		return line{}, err
	}
	op := "converse"
	if j.stream {
		op = "converse-stream"
	}
	req, err := http.NewRequest(http.MethodPost, "http://"+g.addr+"/model/ask-"+j.policy.name+"/"+op, bytes.NewReader(body))
	if err != nil {
		return line{}, err
	}
	req.Header.Set("Authorization", "Bearer "+g.bearer)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return line{}, err
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		return line{}, fmt.Errorf("%s: status %d, %v: %.300s", j.row.ID, res.StatusCode, err, raw)
	}
	text, err := textOf(j.stream, raw)
	if err != nil {
		return line{}, fmt.Errorf("%s: %w", j.row.ID, err)
	}
	sum := sha256.Sum256([]byte(text))
	l := line{ID: j.row.ID, Tag: j.tag, Task: j.row.Task, Cascade: j.policy.name, Stream: j.stream, job: j,
		Path: res.Header.Get("x-sluice-path"), Reason: res.Header.Get("x-sluice-reason"),
		ServedModel: res.Header.Get("x-sluice-model"), SHA256: hex.EncodeToString(sum[:])}
	l.served = back[l.ServedModel]
	if want := j.row.Answers[l.served].Output; want != text {
		return l, fmt.Errorf("%s: the caller got what %s (%s) did not answer", j.row.ID, l.ServedModel, l.served)
	}
	return l, nil
}

// join adds the legs that the stand-in saw.
func join(lines []line, s *standIn) error {
	for i := range lines {
		for _, c := range s.calls[lines[i].Tag] {
			p := cost(c.model, c.in, c.out)
			lines[i].Legs = append(lines[i].Legs, leg{c.renamed, c.in, c.out, json.RawMessage(p.String()), p})
		}
		if len(lines[i].Legs) == 0 {
			return fmt.Errorf("%s: no leg in the stand-in's log", lines[i].ID)
		}
	}
	return nil
}

func writeLines(path string, lines []line) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	for i := range lines {
		if err := enc.Encode(&lines[i]); err != nil {
			return err
		}
	}
	return os.WriteFile(path, b.Bytes(), 0o600)
}
