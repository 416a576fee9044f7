package ground_test

import (
	"testing"

	"github.com/sluice-gateway/sluice/internal/cascade/ground"
)

// TestForms walks ways to write one thing, and things that look alike: what the
// supplied text has, what the answer says, and whether that is the same.
func TestForms(t *testing.T) {
	f := func(supplied, answer string, same bool) {
		t.Helper()
		c := retrieval{Form: "tags", Context: supplied, Question: "What does it say?", Answer: answer}
		got := c.look(t)
		if (got.Verdict() == ground.Grounded) != same {
			t.Errorf("%q and %q: %+v, want the same: %v", supplied, answer, got, same)
		}
	}
	// Thousands and decimals.
	for _, form := range []string{"1,200", "1.200", "1 200", "1\u00a0200", "1\u202f200", "1'200", "1’200", "1200",
		"1.2 thousand", "1,2 Tsd.", "1.2k", "１２００", "١٢٠٠", "1200.00"} {
		f("The order has "+form+" parts.", "It has 1200 parts.", true)
		f("The order has 1,200 parts.", "It has "+form+" parts.", true)
		f("The order has "+form+" parts.", "It has 1300 parts.", false)
		f("The order has 12000 parts.", "It has "+form+" parts.", false)
	}
	f("It costs 1,234,567.89 in all.", "It costs 1.234.567,89 in all.", true)
	f("It costs 12,34,567 in all.", "It costs 1234567 in all.", true)
	f("The share is 3.5 %.", "The share is 3,5 percent.", true)
	f("The share is 3.5 %.", "The share is 35 percent.", false)
	f("The fund has 2.5 million euros.", "The fund has €2,500,000.", true)
	f("The fund has 2.5 million euros.", "The fund has €2.5 billion.", false)
	f("There were 1,234,567 visitors.", "There were about 1.2 million visitors.", true)
	f("There were 1,234,567 visitors.", "There were about 1.4 million visitors.", false)
	// Words.
	f("It takes twenty-five days.", "It takes 25 days.", true)
	f("It takes 25 days.", "It takes twenty-five days.", true)
	f("It takes fourteen days.", "It takes two weeks.", true)
	f("It takes fourteen days.", "It takes three weeks.", false)
	// Units and currencies.
	f("The range is 5 km.", "The range is 5 kilometres.", true)
	f("The range is 5 km.", "The range is 5 miles.", false)
	f("The range is 5 km.", "The range is 5000 m.", true)
	f("The fee is $40.", "The fee is 40 USD.", true)
	f("The fee is $40.", "The fee is €40.", false)
	f("The fee is 40 EUR.", "The fee is 40 €.", true)
	f("The disk has 500 GB.", "The disk has 500 MB.", false)
	f("Guests: 40.", "There are 40 guests.", true)
	// Dates.
	for _, form := range []string{"5 March 2024", "March 5, 2024", "March 5th, 2024", "Mar. 5, 2024", "5th of March 2024",
		"2024-03-05", "05.03.2024", "5.3.2024", "3/5/2024", "5. März 2024", "5 mars 2024", "5 de marzo de 2024",
		"2024年3月5日", "5 марта 2024"} {
		f("It was signed on "+form+".", "It was signed on 5 March 2024.", true)
		f("It was signed on 5 March 2024.", "It was signed on "+form+".", true)
		f("It was signed on "+form+".", "It was signed on 6 March 2024.", false)
		f("It was signed on "+form+".", "It was signed on 5 March 2023.", false)
		f("It was signed on "+form+".", "It was signed in 2024.", true)
		f("It was signed on "+form+".", "It was signed in 2025.", false)
	}
	// Times of day.
	for _, form := range []string{"15:30", "3:30 pm", "3:30 p.m.", "3.30 pm", "15h30", "15.30 Uhr", "15時30分"} {
		f("Doors open at "+form+".", "Doors open at 15:30.", true)
		f("Doors open at "+form+".", "Doors open at 16:30.", false)
	}
	// Names.
	f("Call Jürgen Müller.", "Please call Jürgen Mueller.", true)
	f("Call Jürgen Müller.", "Please call Jürgen Meier.", false)
	f("It is made by Acme Corp.", "That is Acme's product.", true)
	f("It is made in Germany.", "It is a German product.", true)
	f("It is made in Germany.", "It is an Italian product.", false)
	f("The European Union decides.", "It is decided by the European Parliament.", false)
	f("Model X200 is sold out.", "The model X-200 is sold out.", true)
	// Versions, codes and addresses.
	f("Install version 3.10.2.", "Install version 3.1.2.", false)
	f("Install version 3.10.2.", "Install version 3.10.2 now.", true)
	f("Write to help@acme.example.", "Write to help@acme.example.", true)
	f("Write to help@acme.example.", "Write to sales@acme.example.", false)
	f("See https://acme.example/faq for more.", "See https://acme.example/faq.", true)
	f("See https://acme.example/faq for more.", "See https://acme.example/terms.", false)
	f("Call +49 351 4427790.", "Call 0351 4427790.", true)
	f("Call +49 351 4427790.", "Call 0351 4427799.", false)
	// Quotations.
	f("The label says: keep away from direct sunlight.", `It says "keep away from direct sunlight".`, true)
	f("The label says: keep away from direct sunlight.", `It says "keep away from small children".`, false)
}
