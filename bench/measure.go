//go:build linux

package main

import (
	"context"
	"log"
	"time"
)

// slowStream is how long a slow stream lasts.
const slowStream = 10 * time.Second

// measureAll measures all rows that are asked for.
func (b *bench) measureAll(ctx context.Context) error {
	for _, g := range groups() {
		if err := b.measureGroup(ctx, g); err != nil {
			return err
		}
	}
	b.lookAtLoad()
	log.Printf("done, load average %.1f", b.load[2])
	return ctx.Err()
}
