package test

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/redis/redistest"
	"github.com/sluice-gateway/sluice/test/harness"
)

// TestCertificatesOfTheOtherProgram observes, trains and certifies with the program of the last release and enforces
// with this one, and the other way round. Both order answers by their risk differently, so neither takes the other's
// certificate: it starts all the same, and the escalation model serves. Journals and ledgers are in the fault matrix,
// TestOldAndNew.
func TestCertificatesOfTheOtherProgram(t *testing.T) {
	before, now := harness.OldBinary(t), harness.Binary(t)
	f := func(name, writer, reader string) {
		t.Run(name, func(t *testing.T) {
			sandbox, key := harness.StartSandbox(t, trainScript), harness.NewKey(t, "acme/support")
			c := harness.Config{Dir: t.TempDir(), Program: writer, YAML: cascadeYAML(sandbox, key, trainObserve)}
			gw := harness.Start(t, c)
			easy, hard := loggedPair(t, gw, key, "say hello", 1), loggedPair(t, gw, key, "prove the theorem", 2)
			gw.Stop()
			many := filepath.Join(c.Dir, "many.jsonl")
			writePairs(t, many, 2000, [][]byte{easy, easy, easy, hard}, "")
			gate, cert := filepath.Join(c.Dir, "gate"), filepath.Join(c.Dir, "cert")
			harness.RunProgram(t, writer, 0, nil, "calibrate", "--config", gw.ConfigFile(), "--cascade", "support", "--pairs",
				many, "--train-pre-score", gate, "--out", cert)

			if reader == before { // it refuses records of this program, and files of cascades are not among them
				if err := os.RemoveAll(filepath.Join(c.Dir, "data", "journal")); err != nil {
					t.Fatal(err)
				}
			}
			c.Program = reader
			c.YAML = cascadeYAML(sandbox, key, fmt.Sprintf("    mode: enforce\n    pre_score: %q\n    certificate: %q\n",
				gate, cert))
			gw = harness.Start(t, c)
			served := func(text, want string) {
				t.Helper()
				harness.Eventually(t, time.Minute, func() (bool, string) {
					_, h, _ := postWith(t, http.DefaultClient, gw.URL()+"/model/auto/converse", converse(text), key)
					got := h.Get("x-sluice-path") + " " + h.Get("x-sluice-reason")
					return got == want, got
				})
			}
			served("say hello", "direct uncertified")
			served("prove the theorem", "direct uncertified")
		})
	}
	f("old-to-new", before, now)
	f("new-to-old", now, before)
}

// TestNewFormatsAreRefused gives the program of the last release, and this one, what only a later one can have written.
// Both must end with an error that names it, and leave all that they found as it was. The old program writes
// `identity`, which is for people, before it reads the journal; both do so before they read its records.
func TestNewFormatsAreRefused(t *testing.T) {
	programs := map[string]string{"old": harness.OldBinary(t), "new": harness.Binary(t)}
	redis := redistest.NewServer(t)
	f := func(name, ledger string, change func(t *testing.T, data string), want map[string]string) {
		t.Run(name, func(t *testing.T) {
			key := harness.NewKey(t, "acme")
			gw := harness.Start(t, harness.Config{YAML: fmt.Sprintf("upstream: {region: us-east-1, endpoint: sandbox}\n"+
				"tenants: [{id: acme, keys: [%s]}]\n%s", key.KeyID, ledger)})
			gw.Post(t, key.BearerCredential, goodCall, ask)
			gw.Stop()
			data := filepath.Join(gw.Dir, "data")
			change(t, data)
			for _, program := range []string{"new", "old"} {
				before := contents(t, data, redis)
				_, stderr := harness.RunProgram(t, programs[program], 1, nil, "serve", "--config", gw.ConfigFile())
				if !strings.Contains(stderr, want[program]) {
					t.Errorf("the %s program does not say %q:\n%s", program, want[program], stderr)
				}
				after := contents(t, data, redis)
				for file, value := range before {
					forPeople := filepath.Base(file) == "identity" && (program == "old" || name == "record")
					if after[file] != value && !forPeople {
						t.Errorf("the %s program changed %s", program, file)
					}
				}
			}
		})
	}
	both := func(text string) map[string]string { return map[string]string{"old": text, "new": text} }
	f("journal", "", newerSegment, both("journal format 2 is newer than this program's 1"))
	f("record", "", newerRecord, map[string]string{
		"old": "usage record cannot be read", "new": "it has version 5 and this program knows 4",
	})
	f("redis", fmt.Sprintf("ledger: {redis: %q}\n", redis.URL()),
		func(*testing.T, string) { redis.CLI("hset", "sl:meta", "format", "2") },
		both("its keys have format 2 and this program knows 1"))
}

// newestSegment is the segment that grows.
func newestSegment(t *testing.T, data string) string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(data, "journal", "*.seg"))
	if err != nil || len(all) == 0 {
		t.Fatalf("no segments: %v", err)
	}
	return slices.Max(all)
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// newerSegment gives the newest segment's header the next format version.
func newerSegment(t *testing.T, data string) {
	t.Helper()
	file := newestSegment(t, data)
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	binary.LittleEndian.PutUint32(b[8:], 2)
	binary.LittleEndian.PutUint32(b[76:], crc32.Checksum(b[:76], castagnoli))
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// newerRecord appends an END record of the next version to the newest segment.
func newerRecord(t *testing.T, data string) {
	t.Helper()
	payload := append([]byte{5}, make([]byte, 40)...)
	frame := binary.LittleEndian.AppendUint32(nil, uint32(len(payload)))
	sum := crc32.Update(crc32.Checksum(frame, castagnoli), castagnoli, append([]byte{2}, payload...))
	frame = append(append(binary.LittleEndian.AppendUint32(frame, sum), 2), payload...)
	file, err := os.OpenFile(newestSegment(t, data), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.Write(frame); err != nil {
		t.Fatal(err)
	}
}

// contents is every file below dir with a hash of it, and every key of Redis with its value.
func contents(t *testing.T, dir string, redis *redistest.Server) map[string]string {
	t.Helper()
	files := map[string][]byte{}
	readFiles(t, dir, files)
	all := map[string]string{}
	for name, data := range files {
		all[name] = fmt.Sprintf("%x", sha256.Sum256(data))
	}
	for _, key := range strings.Fields(redis.CLI("keys", "*")) {
		all[key] = redis.CLI("dump", key)
	}
	return all
}
