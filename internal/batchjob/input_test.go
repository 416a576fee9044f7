package batchjob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/internal/wire"
)

// bucket are objects in memory.
type bucket map[string]string

func (b bucket) List(_ context.Context, begin string, yield func(string, time.Time) error) error {
	var names []string
	for name := range b {
		if strings.HasPrefix(name, begin) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		if err := yield(name, day); err != nil {
			return err
		}
	}
	return nil
}

func (b bucket) Get(_ context.Context, name string) (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader(b[name])), nil
}

const place = "s3://acme/in/a.jsonl"

func ask(id string) string { return fmt.Sprintf(`{"recordId":%q,"modelInput":{"x":1}}`, id) + "\n" }

func readInput(b Objects, place string, l Limits) (n int64, bodies []string, err error) {
	n, err = NewInputs(b).Read(context.Background(), place, l, func(a *Asked) error {
		bodies = append(bodies, string(a.Input))
		return nil
	})
	return n, bodies, err
}

// TestReadInput: the records of a file, or of all files below a place, and of no other file.
func TestReadInput(t *testing.T) {
	all := bucket{
		place: ask("1") + "\n" + ask("2") + `{"modelInput":{"y":2}}`, "s3://acme/in/b/c.jsonl": ask("3"),
		"s3://acme/in/readme.txt": "x", "s3://acme/inside.jsonl": "x",
	}
	f := func(place string, want int64) {
		t.Helper()
		n, bodies, err := readInput(all, place, Limits{1000, 10})
		if n != want || len(bodies) != int(want) || bodies[0] != `{"x":1}` || err != nil {
			t.Errorf("%s: %d, %q, %v", place, n, bodies, err)
		}
	}
	f(place, 3)
	f("s3://acme/in/", 4)
	f("s3://acme/in", 4)
	f("s3://acme/in/b/", 1)
}

// TestWrongInput: what Bedrock would refuse, and what is too much, is refused with its place.
func TestWrongInput(t *testing.T) {
	f := func(kind error, want, text string) {
		t.Helper()
		_, _, err := readInput(bucket{place: text}, place, Limits{1000, 3})
		if !errors.Is(err, kind) || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
	f(ErrInput, place+": not the input of a batch job: it has no records", "")
	f(ErrInput, "it has no records", "\n \n")
	f(ErrInput, "a.jsonl:2: not the input of a batch job: the line is no JSON object", ask("1")+"x")
	f(ErrInput, "the line is no JSON object", ask("1")[:20])
	f(ErrInput, "the line is no JSON object", `{"recordId":"1","modelInput":{},"modelInput":{}}`)
	f(ErrInput, "the line is no JSON object", "[]")
	f(ErrInput, "it has no modelInput that is an object", `{"recordId":"1"}`)
	f(ErrInput, "it has no modelInput that is an object", `{"modelInput":"x"}`)
	f(ErrInput, `recordId "1" is there twice`, ask("1")+ask("2")+ask("1"))
	f(ErrBounds, "a.jsonl:4: the input has more than 3 records", ask("1")+ask("2")+ask("3")+ask("4"))
	f(ErrBounds, "too many bytes", ask(strings.Repeat("x", 1000)))
	_, _, err := readInput(bucket{}, place, Limits{1, 1})
	if !errors.Is(err, ErrInput) || !strings.Contains(err.Error(), "there is no such file, nor a folder of that name") {
		t.Error(err)
	}
	many := bucket{}
	for n := range mostInputs + 1 {
		many[fmt.Sprintf("s3://acme/in/%d.jsonl", n)] = ask(fmt.Sprint(n))
	}
	if _, _, err := readInput(many, "s3://acme/in/", Limits{1, 1}); !errors.Is(err, ErrBounds) ||
		!strings.Contains(err.Error(), "more than 1000 files") {
		t.Error(err)
	}
}

// stuck is a bucket that does not answer.
type stuck struct{ bucket }

func (stuck) List(ctx context.Context, _ string, _ func(string, time.Time) error) error {
	<-ctx.Done()
	return ctx.Err()
}

// TestSlowInput: input that does not come in time is no input, and nobody waits longer for the input of others.
func TestSlowInput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in, began, done := NewInputs(stuck{}), time.Now(), make(chan error)
		for range atOnce + 1 {
			go func() {
				_, err := in.Read(t.Context(), place, Limits{1, 1}, nil)
				done <- err
			}()
		}
		for range atOnce + 1 {
			if err := <-done; !errors.Is(err, ErrBounds) || time.Since(began) != inputWithin {
				t.Error(err, time.Since(began))
			}
		}
	})
}

func TestReadOrder(t *testing.T) {
	const body = `{"inputDataConfig":{"s3InputDataConfig":{"s3Uri":"s3://acme/in/a.jsonl"}},"outputDataConfig":{` +
		`"s3OutputDataConfig":{"s3Uri":"s3://acme/out/"}}}`
	if o, err := ReadOrder([]byte(body)); err != nil || o != (Order{place, wire.OpInvoke}) {
		t.Error(o, err)
	}
	as := func(form string) string { return body[:len(body)-1] + `,"modelInvocationType":"` + form + `"}` }
	if o, err := ReadOrder([]byte(as("Converse"))); err != nil || o != (Order{place, wire.OpConverse}) {
		t.Error(o, err)
	}
	f := func(want, body string) {
		t.Helper()
		if _, err := ReadOrder([]byte(body)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", body, err)
		}
	}
	f("neither InvokeModel nor Converse", as("converse"))
	f("s3Uri is no s3://bucket/key", "{}")
	f("s3Uri is no s3://bucket/key", strings.Replace(body, "s3://acme/in", "/in", 1))
	f(`duplicate member "s3Uri"`, strings.Replace(body, `{"s3Uri"`, `{"s3Uri":"s3://acme/x","s3Uri"`, 1))
}

// FuzzInput: whatever a line has, it is a record whose input is an object, or it is refused.
func FuzzInput(f *testing.F) {
	f.Add([]byte(ask("1")))
	f.Add([]byte(`{"modelInput":{"a":[{}]},"recordId":7}`))
	f.Add([]byte(`{"modelInput":null}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		_, input, err := readAsked(text)
		if err == nil && (len(input) < 2 || input[0] != '{' || input[len(input)-1] != '}') {
			t.Errorf("%q: %q", text, input)
		}
	})
}
