//go:build linux

package main

import (
	"context"
	"errors"
)

func (b *bench) compareWith(ctx context.Context, ref string) error {
	return errors.New("not yet")
}
