package jsonscan_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/sluice-gateway/sluice/internal/wire/jsonscan"
)

// shared finds the reference data beside the repository and skips loudly when
// it is not there.
func shared(t testing.TB, elem ...string) string {
	t.Helper()
	root := os.Getenv("SLUICE_SHARED")
	if root == "" {
		dir, err := os.Getwd()
		if err != nil {
			t.Fatal(err)
		}
		for dir != "/" {
			if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
				break
			}
			dir = filepath.Dir(dir)
		}
		root = filepath.Join(dir, "..", "shared")
	}
	path := filepath.Join(append([]string{root}, elem...)...)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("SKIPPED: reference data absent: %v", err)
	}
	return path
}

// acceptedOptional lists the files that the suite leaves to the parser and that
// are let through: numbers are not converted, escaped lone surrogates are not
// looked at (encoding/json does the same), 500 levels are inside MaxDepth.
const acceptedOptional = ` i_number_double_huge_neg_exp.json i_number_huge_exp.json i_number_neg_int_huge_exp.json
 i_number_pos_double_huge_exp.json i_number_real_neg_overflow.json i_number_real_pos_overflow.json
 i_number_real_underflow.json i_number_too_big_neg_int.json i_number_too_big_pos_int.json
 i_number_very_big_negative_int.json i_object_key_lone_2nd_surrogate.json
 i_string_1st_surrogate_but_2nd_missing.json i_string_1st_valid_surrogate_2nd_invalid.json
 i_string_incomplete_surrogate_and_escape_valid.json i_string_incomplete_surrogate_pair.json
 i_string_incomplete_surrogates_escape_valid.json i_string_invalid_lonely_surrogate.json
 i_string_invalid_surrogate.json i_string_inverted_surrogates_U+1D11E.json i_string_lone_second_surrogate.json
 i_structure_500_nested_arrays.json `

func TestJSONTestSuite(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(shared(t, "vectors", "jsontestsuite", "test_parsing"), "*.json"))
	if err != nil || len(files) < 300 {
		t.Fatalf("found %d files, %v", len(files), err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Base(file)
		want := name[0] == 'y' || strings.Contains(acceptedOptional, " "+name+" ") ||
			strings.Contains(acceptedOptional, " "+name+"\n")
		if got := jsonscan.Check(data); (got == nil) != want {
			t.Errorf("%s: accepted %t, want %t (%v)", name, got == nil, want, got)
		}
	}
}

func TestFaults(t *testing.T) {
	f := func(text string, want jsonscan.Fault, offset int) {
		t.Helper()
		err := jsonscan.Check([]byte(text))
		if err == nil || err.Fault != want || err.Offset != offset {
			t.Errorf("%.40q: got %+v, want fault %d at %d", text, err, want, offset)
		}
	}
	f(``, jsonscan.Truncated, 0)
	f(`  `, jsonscan.Truncated, 2)
	f(`{"a":"b`, jsonscan.Truncated, 7)
	f(`{"a" 1}`, jsonscan.BadSyntax, 5)
	f(`[1,]`, jsonscan.BadSyntax, 3)
	f(`{"a":1,}`, jsonscan.BadSyntax, 7)
	f(`1 2`, jsonscan.BadSyntax, 2)
	f(`{]`, jsonscan.BadSyntax, 1)
	f("[\"a\x01b\"]", jsonscan.BadSyntax, 3)
	f("[\"0123456789a\x1fb\"]", jsonscan.BadSyntax, 13)
	f("[\"\xff\"]", jsonscan.BadUTF8, 1)
	f("[\"01234567890123\xc3(\"]", jsonscan.BadUTF8, 1)
	f("[\"世\xe4\xb8\"]", jsonscan.BadUTF8, 1)
	f("[\"世\xed\xa0\x80界界\"]", jsonscan.BadUTF8, 1) // a surrogate
	f("[\"\xe0\x80\xaf界界\"]", jsonscan.BadUTF8, 1)  // a longer form than it takes
	f("[\"\xc1\xbf界界\"]", jsonscan.BadUTF8, 1)
	f("[\"😀\xf4\x90\x80\x80界\"]", jsonscan.BadUTF8, 1) // beyond Unicode
	f("[\"世\xe7\x95", jsonscan.Truncated, 7)
	f(`["\ud83"]`, jsonscan.BadSyntax, 2)
	f(strings.Repeat("[", 513), jsonscan.TooDeep, 512)
	f(strings.Repeat(`{"a":`, 100_000), jsonscan.TooDeep, 512*5)
	long := strings.Repeat("1", 5_000_000) // E13
	f(`{"a":`+long+`}`, jsonscan.LongNumber, 5+len(long))
	f(`[-1.`+long+`]`, jsonscan.LongNumber, 4+len(long))
	f(`[1e`+long+`]`, jsonscan.LongNumber, 3+len(long))
	f(long, jsonscan.LongNumber, len(long))
	if err := jsonscan.Check([]byte(`{"a":-` + long[:999] + `}`)); err != nil {
		t.Errorf("a number of 1,000 bytes: %v", err)
	}
	if err := jsonscan.Check([]byte(strings.Repeat("[", 512) + strings.Repeat("]", 512))); err != nil {
		t.Errorf("512 levels: %v", err)
	}
}

func TestStringLengthAndMeaning(t *testing.T) {
	f := func(quoted string) {
		t.Helper()
		var want string
		if err := json.Unmarshal([]byte(quoted), &want); err != nil {
			t.Fatal(err)
		}
		var s jsonscan.Scanner
		s.Reset([]byte(quoted))
		tok := s.Next()
		if tok.Kind != jsonscan.String || tok.TextLen() != len(want) {
			t.Errorf("%s: %+v, length %d, want %d", quoted, tok, tok.TextLen(), len(want))
		}
		if got := string(jsonscan.AppendString(nil, []byte(quoted))); got != want {
			t.Errorf("%s: %q, want %q", quoted, got, want)
		}
	}
	f(`""`)
	f(`"plain ascii, longer than eight bytes"`)
	f(`"a\n\t\"\\\/\b\f\rz"`)
	f(`"\u0041\u00e9\u20ac\ud83d\ude00"`)
	f(`"\ud83d"`)
	f(`"\ud83dx"`)
	f(`"\ude00\ud83d"`)
	f(`"\ud83d\u0041"`)
	f(`"grüße, 世界, 😀"`)
}

func FuzzCheckAgreesWithEncodingJSON(f *testing.F) {
	for _, s := range []string{`{"a":[1,2.5e-3,null,true,false,"x\n"]}`, `[`, `"\u00e9"`, "\"\xff\"", `-0`, `01`,
		`{"a":1,"a":2}`, ` [] `, `[1e+]`, `"` + strings.Repeat(`long \"prose\" naïve `, 9) + "\xff" + `\u00e9"`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		err := jsonscan.Check(data)
		if err != nil && (err.Fault == jsonscan.TooDeep || err.Fault == jsonscan.LongNumber) {
			return
		}
		if want := json.Valid(data) && utf8.Valid(data); (err == nil) != want {
			t.Fatalf("%q: %v, encoding/json and UTF-8 say %t", data, err, want)
		}
	})
}

func FuzzStringsAgreeWithEncodingJSON(f *testing.F) {
	f.Add([]byte(`"a\ud83d\ude00\n"`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var s jsonscan.Scanner
		s.Reset(data)
		tok := s.Next()
		if tok.Kind != jsonscan.String {
			return
		}
		raw := data[tok.Start:tok.End]
		var want string
		if err := json.Unmarshal(raw, &want); err != nil {
			t.Fatalf("%q: %v", raw, err)
		}
		if got := jsonscan.AppendString(nil, raw); string(got) != want || len(got) != tok.TextLen() {
			t.Fatalf("%q: %q (%d), want %q", raw, got, tok.TextLen(), want)
		}
	})
}

func BenchmarkCheck(b *testing.B) {
	text := `{"messages":[{"role":"user","content":[{"text":"` +
		strings.Repeat(`What is the weather like in Seattle today?\n`, 40) +
		`"}]}],"inferenceConfig":{"maxTokens":512,"temperature":0.5}}`
	for _, n := range []int{1, 20} {
		data := []byte("[" + strings.TrimSuffix(strings.Repeat(text+",", n), ",") + "]")
		b.Run(map[int]string{1: "2KB", 20: "40KB"}[n], func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				if err := jsonscan.Check(data); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkCheckText scans long texts of several kinds: escapes and characters of
// more than one byte are what costs.
func BenchmarkCheckText(b *testing.B) {
	for name, words := range map[string]string{
		"plain": "lorem ipsum dolor sit amet ", "chinese": "请总结一下这份报告中关于供应商的内容。",
		"russian": "Кратко изложите отчёт. ",
		"mixed": `the committee asked for a \"short\" summary of last year, naïve assumptions marked, ` +
			`Größen in metres,\n 価格 in yen `,
	} {
		data := []byte(`"` + strings.Repeat(words, 40<<10/len(words)) + `"`)
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				if err := jsonscan.Check(data); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func contains(quoted, text []byte, coded bool) bool {
	l := jsonscan.NewLiteral(string(text))
	return l.Contains(quoted, coded)
}

// TestContains agrees with a search in the unescaped text, wherever the literal
// lies in a text that is longer than what is unescaped at a time.
func TestContains(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		part := rapid.SampledFrom([]string{"a", "n", "ab", "é", `\n`, `\\`, `\"`, `\/`,
			`\u0061`, `\u00e9`, `\ud83d\ude00`, `\ud83d`})
		list := rapid.SliceOfN(part, 1, 40).Draw(t, "parts")
		pad := strings.Repeat(list[0], rapid.IntRange(0, 2500).Draw(t, "pad"))
		quoted := []byte(`"` + pad + strings.Join(list, "") + `"`)
		text := jsonscan.AppendString(nil, quoted)
		from := rapid.IntRange(0, len(text)-1).Draw(t, "from")
		literal := bytes.Clone(text[from:min(len(text), from+rapid.IntRange(0, jsonscan.MaxLiteral).Draw(t, "length"))])
		var s jsonscan.Scanner
		s.Reset(quoted)
		s.Next()
		coded := s.Coded()
		if coded != bytes.Contains(bytes.ReplaceAll(quoted, []byte(`\\\\`), nil), []byte(`\u`)) {
			t.Fatalf("%s: coded %t", quoted, coded)
		}
		if !contains(quoted, literal, coded) {
			t.Fatalf("%s: %q is not found", quoted, literal)
		}
		literal = append(literal, rapid.SampledFrom([]string{"a", "n", "\n", "é", "\ufffd", `\`}).Draw(t, "more")...)
		if len(literal) > jsonscan.MaxLiteral {
			return
		}
		if got, want := contains(quoted, literal, coded), bytes.Contains(text, literal); got != want {
			t.Fatalf("%s: %q: %t, want %t", quoted, literal, got, want)
		}
	})
}

func TestContainsAllocatesNothing(t *testing.T) {
	quoted, literal := []byte(`"`+strings.Repeat(`caf\u00e9 \n`, 1000)+`"`), jsonscan.NewLiteral("no such")
	if n := testing.AllocsPerRun(10, func() { literal.Contains(quoted, true) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkContains looks for what is not there: a search, and unescaping first
// where an escape could stand for any character.
func BenchmarkContains(b *testing.B) {
	literal := jsonscan.NewLiteral("prove this theorem")
	for name, line := range map[string]string{
		"plain": "lorem ipsum dolor", "short": `lorem ipsum\n`, "unicode": `caf\u00e9 lorem\n`,
	} {
		quoted := []byte(`"` + strings.Repeat(line, 40<<10/len(line)) + `"`)
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(quoted)))
			for b.Loop() {
				if literal.Contains(quoted, name == "unicode") {
					b.Fatal("found")
				}
			}
		})
	}
}

// TestWideCharacters agrees with the standard library about what is UTF-8, wherever in a
// word of eight bytes a character begins.
func TestWideCharacters(t *testing.T) {
	part := rapid.SampledFrom([]string{
		"a", "é", "世", "\ud7ff", "\ue000", "😀", "\xff", "\xc2", "\xe4\xb8", "\xed\xa0\x80", "\x80",
		"\xe0\x9f\xbf", "\xe0\xa0\x80", "\xf0\x8f\xbf\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf", "\xf4\x90\x80\x80",
	})
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(rapid.SliceOfN(part, 0, 20).Draw(t, "parts"), "")
		err := jsonscan.Check([]byte(`"` + text + `"`))
		if (err == nil) != utf8.ValidString(text) {
			t.Fatalf("%q: %v", text, err)
		}
	})
}
