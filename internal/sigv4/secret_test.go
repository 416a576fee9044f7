package sigv4

import (
	"sync"
	"testing"

	"pgregory.net/rapid"
)

// claimOf parses what a client signed.
func claimOf(t testing.TB, req *Request) *Claim {
	t.Helper()
	claim, err := Parse(req.Header, req.Query)
	if err != nil {
		t.Fatal(err)
	}
	return claim
}

// TestKeptKey: a kept signing key accepts and refuses what a new one does, with
// claims of several scopes in turn.
func TestKeptKey(t *testing.T) {
	rows := clients()
	kept := NewSecret(testSecret)
	rapid.Check(t, func(r *rapid.T) {
		req := rows[rapid.IntRange(0, len(rows)-1).Draw(r, "client")].request(t, testBody)
		claim := claimOf(t, req)
		switch rapid.IntRange(0, 4).Draw(r, "change") {
		case 0:
			claim.Signature[rapid.IntRange(0, 31).Draw(r, "byte")] ^= 1
		case 1:
			claim.Region += "x"
		case 2:
			claim.Date = "20261122"
		case 3:
			req.BodyHash[0] ^= 1
		}
		fresh, now := claim.Verify(req, testSecret), kept.Verify(claim, req)
		if (fresh == nil) != (now == nil) {
			r.Fatalf("%+v: %v with a new key, %v with the kept one", claim, fresh, now)
		}
	})
}

// TestNoKeyIsNoKey: what stands in for a kept key accepts nothing.
func TestNoKeyIsNoKey(t *testing.T) {
	req := clients()[0].request(t, testBody)
	claim := claimOf(t, req)
	text := &signedText{make([]byte, 64)}
	text.set(&draft{req: req, fields: req.Header, names: claim.SignedHeaders, stamp: claim.Stamp,
		scope: scope{claim.Date, claim.Region, claim.Service}})
	var none derived
	claim.Signature = text.mac(&none.key)
	if NewSecret(testSecret).Verify(claim, req) == nil {
		t.Error("signed with the empty key, and accepted")
	}
	if want := mac(none.key[:], text.bytes[64:]); claim.Signature != want {
		t.Error("not the HMAC of crypto/hmac")
	}
}

// TestRefusalsCostTheSame: whether a key is in use does not show in the work of a
// refusal; who has the secret is served with little.
func TestRefusalsCostTheSame(t *testing.T) {
	req := clients()[0].request(t, testBody)
	good, bad := claimOf(t, req), claimOf(t, req)
	bad.Signature[0] ^= 1
	used, unknown := NewSecret(testSecret), NewSecret("stranger")
	if err := used.Verify(good, req); err != nil {
		t.Fatal(err)
	}
	work := func(s *Secret, c *Claim) float64 { return testing.AllocsPerRun(100, func() { s.Verify(c, req) }) }
	if a, b, c := work(used, bad), work(unknown, bad), work(unknown, good); a != b || a != c {
		t.Errorf("allocations of a refusal: %v, %v, %v", a, b, c)
	}
	if n := work(used, good); n > 0 {
		t.Errorf("%v allocations with a kept key", n)
	}
}

func TestSecretIsShared(t *testing.T) {
	kept := NewSecret(testSecret)
	var all sync.WaitGroup
	for _, c := range clients() {
		req := c.request(t, testBody)
		claim := claimOf(t, req)
		for range 4 {
			all.Go(func() {
				for range 50 {
					if err := kept.Verify(claim, req); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
	all.Wait()
}

func BenchmarkVerify(b *testing.B) {
	req := clients()[0].request(b, testBody)
	claim := claimOf(b, req)
	f := func(name string, s *Secret) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				s.Verify(claim, req)
			}
		})
	}
	f("kept", NewSecret(testSecret))
	f("refused", NewSecret("stranger"))
}
