package router

import (
	"fmt"
	"testing"

	"github.com/sluice-gateway/sluice/config"
)

func BenchmarkPlan(b *testing.B) {
	cfg := baseConfig()
	for i := range 60 {
		cfg.Models = append(cfg.Models, config.Model{IDs: []string{fmt.Sprintf("maker.model-%d*", i)}})
	}
	r := mustCompile(b, cfg)
	for name, asked := range map[string]string{"cascade": "auto", "passthrough": sonnet} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			in := converse(asked)
			for b.Loop() {
				if _, err := planOf(r, in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
