package main

import (
	"path/filepath"
	"strings"

	"github.com/sluice-gateway/sluice/internal/cascade/recorded"
)

// question is all of a recorded prompt that the senders know: neither what is
// right nor any answer is in it.
type question struct{ id, task, prompt string }

// reply is what the stand-in answers in the place of one model.
type reply struct {
	text    string
	in, out int // tokens
}

// script is all that the stand-in knows: replies by prompt and recorded model.
type script map[string]map[string]reply

func questionsOf(rows []*recorded.Row) []question {
	out := make([]question, len(rows))
	for i, r := range rows {
		out[i] = question{r.ID, r.Task, r.Prompt}
	}
	return out
}

func scriptOf(rows []recorded.Row) script {
	s := make(script, len(rows))
	for i := range rows {
		replies := map[string]reply{}
		for model, a := range rows[i].Answers {
			replies[model] = reply{a.Output, rows[i].InTokens, a.OutTokens}
		}
		s[rows[i].Prompt] = replies
	}
	return s
}

// readAll reads every file of a folder. Of rows with the same prompt the first
// one stays: a prompt must not stand in what calibrates and in what is measured.
func readAll(dir string) ([]recorded.Row, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.jsonl"))
	if err != nil {
		return nil, err
	}
	names := make([]string, len(files))
	for i, f := range files {
		names[i] = strings.TrimSuffix(filepath.Base(f), ".jsonl")
	}
	rows, err := recorded.Read(dir, names...)
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	unique := rows[:0]
	for _, r := range rows {
		if !seen[r.Prompt] {
			seen[r.Prompt] = true
			unique = append(unique, r)
		}
	}
	return unique, nil
}

// usable are the rows with the answers of all legs.
func usable(rows []recorded.Row, p policy) []*recorded.Row {
	var out []*recorded.Row
	for i := range rows {
		_, light := rows[i].Answers[p.light]
		_, partner := rows[i].Answers[p.partner]
		_, full := rows[i].Answers[p.escalation]
		if light && partner && full {
			out = append(out, &rows[i])
		}
	}
	return out
}

// easy reports whether prompts of a task belong to the four fifths of the 80/20
// mix.
func easy(task string) bool { return strings.HasPrefix(task, "gsm") }
