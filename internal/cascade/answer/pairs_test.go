package answer

import "testing"

// TestC1C2C3Pairs has the cases C1 to C3, and others of their kinds, by hand.
func TestC1C2C3Pairs(t *testing.T) {
	f := func(a, b string, want bool) {
		t.Helper()
		r := &Request{}
		if got := Agree(KeyOf(r, &Answer{Text: a}), KeyOf(r, &Answer{Text: b})); (got == Same) != want {
			t.Errorf("%q %q: %v", a, b, got)
		}
	}
	for _, p := range [][2]string{
		{"4155550132", "4155550133"}, {"5 km", "5 miles"}, {"€100", "$100"}, {"3.10", "3.1"},
		{"return (a+b)/2", "return a+b/2"}, {"rm -rf /srv/build/*", "rm -rf /srv/build/"},
		{"J. K. Rowling", "J. R. R. Tolkien"},
		{`[{"sku":"A","qty":1},{"sku":"B","qty":2}]`, `[{"sku":"A","qty":1},{"sku":"B","qty":9},{"sku":"C","qty":1}]`},
		{"{\"a\":1,\"b\":2}\nCorrection:\n{\"a\":1,\"b\":3}", `{"a":1,"b":2}`},
		{"1/2", "2/4"}, {"5M", "5"}, {"5 M", "5"}, {"5K", "5"}, {"300 BC", "300"}, {"300 BC", "300 AD"},
		{"5 below zero", "5"}, {"5B", "5"},
		{"The answer is __init__", "init"}, {"The answer is *args", "args"},
		{`{"answer": {"unit": "km", "answer": 5}}`, `{"answer": {"unit": "m", "answer": 5}}`},
		{`{"answer":[{"score":1,"label":"A"},{"score":2,"label":"B"}]}`, `{"answer":[{"score":1,"label":"X"},{"score":2,"label":"B"}]}`},
		{"10.0.0.1", "10.0.0.10"}, {"10.0.0.0/8", "10.0.0.0/16"}, {"~5", "5"}, {">5", "5"}, {"5+", "5"}, {"1st", "1"},
		{"5%", "0.05"},
		{"2024-01-02", "2024-02-01"}, {"1.000", "1,000"}, {"1.000", "1000"}, {"1.5 hours", "90 minutes"},
		{"C:\\temp", "C:\\Temp"},
		{"def f(x): return x*2", "def f(x): return x**2"}, {"SELECT * FROM a", "SELECT  FROM a"}, {"a && b", "a & b"},
		{"not found", "found"}, {"x > 5", "x >= 5"}, {"x ≥ 5", "x > 5"}, {"O(n)", "O(n^2)"}, {"O(n log n)", "O(n)"},
		{"H2O", "H20"}, {"$5 million", "$5"}, {"-5", "5"}, {"5-", "5"}, {"(5, 3)", "(3, 5)"}, {"[0, 1)", "[0, 1]"},
		{"[0,1)", "(0,1]"},
		{"user@example.com", "User@example.com"}, {"https://a.b/c", "https://a.b/c/"}, {"2 days", "2 business days"},
		{"12345678901234567890", "12345678901234567891"}, {"0.1234567890123456789", "0.1234567890123456780"},
		{"1e400", "1e401"}, {"NaN", "nan"}, {"", " "}, {"N/A", "NA"}, {"Smith, J.", "Smith, K."},
		{"St. Louis", "St. Paul"},
		{"The answer is St. Louis", "The answer is St. Paul"}, {"Mr. A", "Mr. B"}, {"A. Lincoln", "A"},
		{"A. Lincoln", "A. Johnson"},
		{"The answer is A. Lincoln", "The answer is A. Johnson"}, {"The answer is (A) 42", "The answer is (A) 43"},
		{"v1.2", "v1.20"}, {"1.2.3", "1.2.30"}, {"python 3.10", "python 3.1"}, {"3.10 or later", "3.1 or later"},
		{">=3.10", ">=3.1"},
		{"USD 5", "5 EUR"}, {"5 €", "5 $"}, {"¥100", "¥1000"}, {"100 JPY", "100 CNY"}, {"100 yen", "100 yuan"},
		{"5 lb", "£5"},
		{"5 kg", "5 g"}, {"5 kWh", "5 kW"}, {"5 Mbps", "5 MBps"}, {"5 MB", "5 Mb"}, {"5 GB", "5 GiB"},
		{"10 mg", "10 mcg"}, {"10 mg", "10 µg"},
		{"2 tbsp", "2 tsp"}, {"30°C", "30°F"}, {"5 m", "5 min"}, {"5 s", "5 ms"}, {"20%", "20‰"}, {"20 bps", "20%"},
		{"$1.50", "$1.05"},
		{"\\boxed{1}, \\boxed{2}", "\\boxed{3}, \\boxed{2}"}, {"x=5", "y=5"}, {"1, 2", "1,2,3"}, {"1 2", "12"},
		{"1 000", "1"},
		{"sudo rm -rf /", "sudo rm -rf /tmp"}, {"git reset --hard", "git reset --soft"},
		{"chmod 644 f", "chmod 664 f"}, {"chmod 0644 f", "chmod 644 f"},
		{`{"a":"x"}`, `{"a":"X"}`}, {`{"a":[1,2]}`, `{"a":[2,1]}`}, {`{"a":1}`, `{"a":1.0000001}`},
		{`{"id":9007199254740993}`, `{"id":9007199254740992}`},
		{`{"a":{}}`, `{"a":[]}`}, {`{"a":""}`, `{"a":null}`}, {`{"items":[]}`, `{"items":[{}]}`}, {`{}`, `[]`},
		{"Yes", "Yes, but only on Mondays"}, {"yes", "no"}, {"true", "yes"}, {"2 PM", "2 AM"}, {"14:00", "2:00"},
		{"14:00 UTC", "14:00 CET"},
		{"noon", "midnight"}, {`{"answer":"''"}`, `{"answer":"!?"}`}, {`{"answer":"''"}`, "n"}, {`""`, "B"},
		{`"a "`, `"a"`}, {"Monday", "Tuesday"}, {"next Friday", "Friday"}, {"Q1 2024", "Q2 2024"},
		{"March 2024", "May 2024"}, {"2024", "2023"},
		{"May 5, 2024", "May 5, 2025"}, {"5/6/2024", "6/5/2024"}, {"5.6.2024", "6.5.2024"}, {"2024-W01", "2024-W02"},
	} {
		f(p[0], p[1], false)
	}
	for _, p := range [][2]string{
		{"1,000", "1000"}, {"Paris", "Paris."}, {"$5", "5 dollars"}, {"20 %", "20%"}, {"5km", "5 km"},
		{"Café", "Cafe\u0301"},
		{`{"answer":{"a":1,"b":2}}`, `{"answer":{"b":2,"a":1}}`}, {"2024-10-02", "October 2, 2024"},
		{"2 Oct 2024", "2024/10/02"},
		{"2024-10-02", "2nd of October 2024"}, {"2 de octubre de 2024", "2024-10-02"},
		{"le 2 octobre 2024", "2024-10-02"}, {"2. Oktober 2024", "2024-10-02"},
		{"5 PM", "17:00"}, {"5:00 p.m.", "17:00"}, {"+1 (415) 555-0132", "+14155550132"}, {"1e3", "1000"}, {"½", "½"},
		{"{\"b\":2,\"a\":1}", "```json\n{\"a\": 1, \"b\": 2}\n```"}, {"YES", "yes"}, {"The answer is 42.", "42"},
		{"**42**", "42"},
		{"The answer is: **42**", "42"}, {"**Answer: 42**", "42"}, {"Answer: `42`", "42"},
		{"The final answer is $42$.", "42"},
		{"Here is the list:\n[1, 2, 3]", "[1,2,3]"}, {"<thinking>hm</thinking>\n42", "42"},
	} {
		f(p[0], p[1], true)
	}
}
