package report

import "github.com/sluice-gateway/sluice/bench/stats"

// Bar is one promise and how it is kept.
type Bar struct {
	Measure string        `json:"measure"`
	Unit    string        `json:"unit"` // "×" for ratios
	Figure  stats.Summary `json:"figure"`
	Reach   float64       `json:"reach"` // at most this is promised
	Aim     float64       `json:"aim"`   // and this is hoped for
	// Missing says why there is no figure, "" when there is one.
	Missing string `json:"missing,omitempty"`
}

// Verdict says in a word or two how far the figure is.
func (b Bar) Verdict() string {
	switch {
	case b.Missing != "":
		return b.Missing
	case b.Figure.Median <= b.Aim:
		return "met, and the aim"
	case b.Figure.Median <= b.Reach:
		return "met"
	default:
		return "NOT MET"
	}
}

// promise is a bar without its figure. Rows names the rows whose absence
// explains why there is none.
type promise struct {
	measure, unit string
	reach, aim    float64
	figure        func(Figures) stats.Series
	rows          []string
}

// times is the row's CPU as a multiple of the bare proxy's.
func times(measure, row string, reach, aim float64) promise {
	return promise{
		measure: measure, unit: "×", reach: reach, aim: aim, rows: []string{row},
		figure: func(f Figures) stats.Series { return f[row][Times] },
	}
}

// over is the row's CPU as a multiple of another row's, both as multiples of
// the bare proxy's around them: that takes out what changed between the two.
func over(measure, row, other string, reach, aim float64) promise {
	return promise{
		measure: measure, unit: "×", reach: reach, aim: aim, rows: []string{row, other},
		figure: func(f Figures) stats.Series { return f[row][Times].Over(f[other][Times]) },
	}
}

// plain is a figure as it was measured.
func plain(measure, unit, row, what string, reach, aim float64) promise {
	return promise{
		measure: measure, unit: unit, reach: reach, aim: aim, rows: []string{row},
		figure: func(f Figures) stats.Series { return f[row][what] },
	}
}

// promises is the table that Sluice is held to. No later change may put a
// figure above its reach.
func promises() []promise {
	return []promise{
		times("CPU per request 2 KB, everything on / bare proxy", "full/2k", 3.0, 2.0),
		over("the same / ReverseProxy", "full/2k", "reverse/2k", 0.5, 0.4),
		over("the same / the prototype", "full/2k", "prototype/2k", 1.4, 1.1),
		times("minimal (key, journal, signature) / bare", "minimal/2k", 2.2, 1.6),
		times("Signature V4 caller / bare", "sigv4/2k", 3.4, 2.4),
		times("100 % spans / bare", "spans/2k", 4.5, 3),
		times("HTTP/2 caller / bare", "h2/2k", 6.5, 5),
		over("Redis ledger / embedded ledger", "redis/2k", "full/2k", 1.05, 1.0),
		times("check with partner (two light legs) / bare", "check/2k", 8, 6),
		over("2 KB by Chat Completions / the same by Converse", "full/chat", "full/2k", 2.0, 1.5),
		over("2 KB by Messages / the same by InvokeModel", "full/messages", "full/invoke", 1.3, 1.1),
		over("a stream by Messages / the same by InvokeModel", "full/messagesstream", "full/invokestream", 1.3, 1.1),
		over("a stream by Chat Completions / the same by ConverseStream", "full/chatstream", "full/stream", 2.0, 1.5),
		over("40 KB / ReverseProxy", "full/40k", "reverse/40k", 1.0, 0.9),
		over("40 KB / the prototype", "full/40k", "prototype/40k", 1.2, 1.1),
		over("1 MB / the prototype", "full/1m", "prototype/1m", 1.2, 1.1),
		times("full-speed stream / bare stream", "full/stream", 1.6, 1.15),
		plain("1,000 slow streams: resident memory per stream", "KB", "full/slow", KB, 45, 40),
		plain("1,000 slow streams: goroutines per stream", "", "full/slow", Goroutines, 1.1, 1.0),
		times("1,000 slow streams: CPU per message / bare", "full/slow", 1.2, 1.05),
		plain("added p50 over bare at 500/s", "µs", "full/open", Added, 120, 75),
		plain("first event by Chat Completions: added p99 over bare", "µs", "full/firstchat", AddedP99, 1000, 500),
		plain("first event by Messages: added p99 over bare", "µs", "full/firstmessages", AddedP99, 1000, 500),
		plain("resident: idle", "MB", "full/memory", Idle, 30, 20),
		plain("resident: saturated with 2 KB and 40 KB", "MB", "full/memory", Saturated, 70, 45),
		plain("resident: after 64 × 1 MB at once", "MB", "full/memory", After, 120, 80),
		plain("100,000 tenants: CPU to start", "s", "many/tenants", StartCPU, 10, 3),
		plain("100,000 tenants: CPU to reload one changed file", "s", "many/tenants", ReloadCPU, 0.5, 0.1),
		plain("100,000 tenants: resident memory at most, with reloads", "MB", "many/tenants", Memory, 600, 250),
		over("100,000 tenants: CPU per request / one tenant", "many/tenants", "one/tenants", 1.05, 1.0),
		plain("report over 1,000,000 requests of 200 tenants", "s", "report/records", Seconds, 2, 1),
		plain("the same: resident memory at most", "MB", "report/records", Memory, 200, 100),
	}
}

// notRun stands for a figure that was not asked for.
const notRun = "not run"

// Bars holds the figures against the promises. Missing says why a row was not
// measured.
func Bars(f Figures, missing map[string]string) []Bar {
	var out []Bar
	for _, p := range promises() {
		b := Bar{Measure: p.measure, Unit: p.unit, Reach: p.reach, Aim: p.aim}
		figures := p.figure(f)
		if len(figures) == 0 {
			b.Missing = notRun
			for _, row := range p.rows {
				if why := missing[row]; why != "" {
					b.Missing = why
				}
			}
		}
		b.Figure = figures.Summary()
		out = append(out, b)
	}
	return out
}
