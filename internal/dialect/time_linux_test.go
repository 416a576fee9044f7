package dialect

import (
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/wire/caller"
	"github.com/sluice-gateway/sluice/internal/wire/jsontree"
)

// took is how long f keeps the processor, whatever else the machine does.
func took(t *testing.T, f func()) time.Duration {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	now := func() time.Duration {
		var used syscall.Rusage
		const thread = 1
		if err := syscall.Getrusage(thread, &used); err != nil {
			t.Fatal(err)
		}
		return time.Duration(used.Utime.Nano() + used.Stime.Nano())
	}
	begun := now()
	f()
	return now() - begun
}

// TestTranslationsTakeLittleTime: whatever a body has many of, its translation takes time in proportion to its size.
// Reading a body into a tree is the measure.
func TestTranslationsTakeLittleTime(t *testing.T) {
	const n = 16_000
	hi, more := user(`"hi"`), func(f string) string { return `,` + many(f, n) }
	call := many(`{"id":"c#","type":"function","function":{"name":"f#","arguments":"{}"}}`, n)
	use := many(`{"type":"tool_use","id":"c#","name":"f#","input":{}}`, n)
	var all []asked
	add := func(s []asked) { all = append(all, s...) }
	add(said("members", hi, hi, hi, more(`"x#":1`), more(`"x#":1`), more(`"x#":1`)))
	inside := `{"role":"user","content":"hi"` + more(`"x#":1`) + `}`
	add(said("inside", inside, inside, inside, "", "", ""))
	add(said("tools", hi, hi, hi, `,"tools":[`+many(`{"type":"function","function":{"name":"f#"}}`, n)+`]`,
		`,"tools":[`+many(`{"name":"f#","input_schema":{"type":"object"}}`, n)+`]`,
		`,"tools":[`+many(`{"type":"function","name":"f#"}`, n)+`]`))
	add(said("calls", hi+`,{"role":"assistant","tool_calls":[`+call+`]}`+
		more(`{"role":"tool","tool_call_id":"c#","content":"a"}`),
		hi+`,{"role":"assistant","content":[`+use+`]},`+
			user(`[`+many(`{"type":"tool_result","tool_use_id":"c#","content":"a"}`, n)+`]`),
		hi+more(`{"type":"function_call","call_id":"c#","name":"f#","arguments":"{}"}`)+
			more(`{"type":"function_call_output","call_id":"c#","output":"a"}`), "", "", ""))
	betas := `,"anthropic_beta":[` + many(`"x#"`, n) + `]`
	add(said("lists", hi, hi, hi, `,"stop":[`+many(`"x#"`, n)+`]`, betas, `,"include":[`+many(`"x#"`, n)+`]`))
	for _, a := range all {
		a.policy = caller.PolicyDrop
		var d jsontree.Doc
		body := []byte(a.body)
		read := took(t, func() { d.Parse(body) })
		all := took(t, func() {
			if _, failure := a.native(nil); failure != nil && failure.Class != caller.ClassInvalid {
				t.Errorf("%s: %+v", a.name, failure)
			}
		})
		if all > 20*read+3*time.Second/10 {
			t.Errorf("%s: %d KB take %v, and %v to be read", a.name, len(a.body)>>10, all, read)
		}
	}
}
