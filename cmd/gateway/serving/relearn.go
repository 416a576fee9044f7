package serving

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"
)

// stamps tells the states of the files that cascades name apart, without
// reading them: they may be large, and are written by programs.
func (r *reloader) stamps() string {
	var b strings.Builder
	for i := range r.current.Cascades {
		c := &r.current.Cascades[i]
		for _, file := range []string{c.PreScore, c.Score, c.Certificate} {
			if info, err := os.Stat(file); err == nil {
				fmt.Fprintln(&b, file, info.ModTime().UnixNano(), info.Size())
			}
		}
	}
	return b.String()
}

// look reloads what changed: the whole configuration, or the files that its
// cascades name.
func (r *reloader) look(ctx context.Context) {
	switch {
	case r.contents() != r.hash:
		r.reload(ctx)
	case r.stamps() != r.stamp:
		r.reloadArtifacts()
	}
}

// reloadArtifacts reads changed certificates and score files. What does not fit
// changes nothing and is logged.
func (r *reloader) reloadArtifacts() {
	r.stamp = r.stamps() // before reading, so that a change meanwhile is seen
	next, problems := r.gate.line.Snapshot().ReloadArtifacts(time.Now())
	for _, p := range problems {
		at := r.current.At(p.Path)
		r.gate.log.Error("file of a cascade refused, what it had stays", "at", fmt.Sprintf("%s:%d:%d", at.File, at.Line, at.Column), "path", p.Path, "problem", p.Message)
	}
	r.gate.line.Use(next)
	for name, a := range next.Artifacts {
		if c := a.Certificate; c != nil {
			r.gate.log.Info("files of a cascade looked at", "cascade", name, "certificate", c.Hash, "score", a.Score.Hash())
		}
	}
}
