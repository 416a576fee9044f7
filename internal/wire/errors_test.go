package wire_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime/types"

	"github.com/sluice-gateway/sluice/internal/wire"
)

const lastKind = wire.KindVersion

func TestOperationsAreThoseOfTheSDK(t *testing.T) {
	client := reflect.TypeFor[*bedrockruntime.Client]()
	names := map[string]bool{}
	for op := wire.OpConverse; op <= wire.OpInvokeBidirectional; op++ {
		names[op.APIName()] = true
		if _, ok := client.MethodByName(op.APIName()); !ok {
			t.Errorf("the SDK has no operation %s", op.APIName())
		}
		if back, ok := wire.ParseOperation(op.String()); !ok || back != op {
			t.Errorf("%s does not parse back", op)
		}
	}
	for i := range client.NumMethod() {
		m := client.Method(i)
		if m.Name != "Options" && !names[m.Name] && m.Type.NumIn() >= 3 {
			t.Errorf("the SDK's operation %s is missing", m.Name)
		}
	}
	if _, ok := wire.ParseOperation("unknown"); ok {
		t.Error("unknown is not an operation")
	}
}

func TestErrorNamesAreThoseOfTheSDK(t *testing.T) {
	modelled := []interface{ ErrorCode() string }{
		&types.AccessDeniedException{}, &types.ConflictException{}, &types.InternalServerException{},
		&types.ModelErrorException{},
		&types.ModelNotReadyException{}, &types.ModelStreamErrorException{}, &types.ModelTimeoutException{},
		&types.ResourceNotFoundException{}, &types.ServiceQuotaExceededException{}, &types.ServiceUnavailableException{},
		&types.ThrottlingException{}, &types.ValidationException{},
	}
	ours := map[string]bool{"ConflictException": true} // never made here
	for k := wire.KindInternal; k <= lastKind; k++ {
		ours[wire.Errorf(k, "").Type()] = true
	}
	for _, e := range modelled {
		if !ours[e.ErrorCode()] {
			t.Errorf("%s is missing", e.ErrorCode())
		}
	}
}

// TestExceptionNamesAreModelled holds each frame name against the members of
// the SDK's exceptions that both streaming operations declare.
func TestExceptionNamesAreModelled(t *testing.T) {
	both := map[string]bool{}
	for _, e := range []any{types.InternalServerException{}, types.ModelStreamErrorException{},
		types.ValidationException{},
		types.ThrottlingException{}, types.ServiceUnavailableException{}} {
		name := reflect.TypeOf(e).Name()
		both[strings.ToLower(name[:1])+name[1:]] = true
	}
	for k := wire.KindInternal; k <= lastKind; k++ {
		if name := wire.Errorf(k, "").ExceptionName(); !both[name] {
			t.Errorf("kind %d: %q", k, name)
		}
	}
}

func TestErrorStatus(t *testing.T) {
	f := func(k wire.Kind, status int, name string) {
		t.Helper()
		if e := wire.Errorf(k, "x"); e.Status() != status || e.Type() != name {
			t.Errorf("kind %d: %d %s", k, e.Status(), e.Type())
		}
	}
	f(wire.KindInternal, 500, "InternalServerException")
	f(wire.KindValidation, 400, "ValidationException")
	f(wire.KindServiceQuota, 400, "ServiceQuotaExceededException")
	f(wire.KindThrottling, 429, "ThrottlingException")
	f(wire.KindUnknownOperation, 404, "UnknownOperationException")
	f(wire.KindMethodNotAllowed, 405, "UnknownOperationException")
	f(wire.KindModelStream, 424, "ModelStreamErrorException")
	f(wire.KindServiceUnavailable, 503, "ServiceUnavailableException")
	f(wire.KindVersion, 505, "ValidationException")
	for k := wire.KindInternal; k <= lastKind; k++ {
		if e := wire.Errorf(k, ""); e.Status() == 0 || e.Type() == "" {
			t.Errorf("kind %d has no row", k)
		}
	}
}

func FuzzErrorJSON(f *testing.F) {
	f.Add("plain")
	f.Add("quote \" slash \\ line\n \x00 \x7f \u2028 bad \xff")
	f.Fuzz(func(t *testing.T, msg string) {
		got := (&wire.Error{Message: msg}).AppendJSON(nil)
		var back struct{ Message string }
		want := string([]rune(msg)) // U+FFFD for each bad byte
		if err := json.Unmarshal(got, &back); err != nil || back.Message != want {
			t.Fatalf("%q: %s, %v", msg, got, err)
		}
	})
}

// TestMessagesHaveNoKeys: what callers put where keys do not belong is quoted without them.
func TestMessagesHaveNoKeys(t *testing.T) {
	const key = "slk_SLKC7UDJGIUEC5U2A4K4AWBC_eodf3dj2rvflnkmtr6yywa7apmizw64dg6hfru46bq54sufiebea"
	for given, want := range map[string]string{
		"": "", "no key": "no key", "slk_ alone": "slk_ alone", "slk_a_b": "slk_a_b", key: "slk_…",
		"model '" + key + "' is none": "model 'slk_…' is none", "a" + key + "-" + key + ".": "aslk_…-slk_….",
		"slk_" + key + " b": "slk_… b",
	} {
		if got := wire.Errorf(wire.KindValidation, "%s", given).Message; got != want {
			t.Errorf("%q: %q", given, got)
		}
	}
}
