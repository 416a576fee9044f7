package forecast

import (
	"math"
	"time"

	"github.com/sluice-gateway/sluice/internal/money"
)

const (
	week = 7 * 24
	// halfLife is after how many hours an hour counts half as much: what a team spends
	// changes within weeks.
	halfLife = week
	// From so many hours of history on, hours of the day and days of the week have
	// factors of their own.
	enoughForHours, enoughForDays = 48, 2 * week
)

// model is what the next hours will cost: a level, by the hour of the day and the day of
// the week, and how far sums of a block of hours were off.
type model struct {
	zone  *time.Location
	hour  [24]float64
	day   [7]float64
	level float64 // dollars per hour at factors of 1

	block float64 // hours
	sigma float64 // dollars, of the sum of a block
	// likeness is how much a block is off like the one before it: what is alike does not
	// average out.
	likeness float64
	blocks   float64 // how many blocks the level rests on, by weight
	t        float64 // how many sigmas the interval is wide; 0: there is none
}

// past is the part of a series from the first spending on.
type past struct {
	usd   []float64 // whole hours
	last  float64   // of the hour that is not over, of which part is over
	part  float64
	first time.Time // the hour of usd[0]
}

// past returns what was spent since the first spending; ok is false when there was none.
func (h *History) past(window string) (p past, ok bool) {
	s := h.of(window)
	if s == nil {
		return p, false
	}
	first := 0
	for first < hours-1 && s[first] == 0 {
		first++
	}
	whole := hours - 1
	return past{
		usd: s[first:whole], last: s[whole], first: h.from.Add(time.Duration(first) * time.Hour),
		part: max(h.now.Sub(h.from.Add(Lookback)).Hours(), 1.0/60),
	}, true
}

// burn is the mean of the last 24 hours per hour, or of those there are.
func (p *past) burn() float64 {
	recent := p.usd[max(0, len(p.usd)-24):]
	sum := p.last
	for _, usd := range recent {
		sum += usd
	}
	return max(0, sum/(float64(len(recent))+p.part))
}

// weight is how much an hour counts, by its place.
func (p *past) weight(i int) float64 {
	return math.Exp2(-float64(len(p.usd)-1-i) / halfLife)
}

// fit makes the model of a past, for so long ahead.
func (p *past) fit(zone *time.Location, ahead time.Duration) *model {
	m := &model{zone: zone}
	for i := range m.hour {
		m.hour[i] = 1
	}
	for i := range m.day {
		m.day[i] = 1
	}
	if len(p.usd) >= enoughForHours {
		p.shape(m.hour[:], func(t time.Time) int { return t.Hour() }, zone, 0.5)
	}
	if len(p.usd) >= enoughForDays {
		p.shape(m.day[:], func(t time.Time) int { return int(t.Weekday()) }, zone, 4)
	}
	sum, expected := p.last, p.part*m.factor(p.first.Add(time.Duration(len(p.usd))*time.Hour))
	for i, usd := range p.usd {
		w := p.weight(i)
		sum += w * usd
		expected += w * m.factor(p.hour(i))
	}
	if expected > 0 {
		m.level = max(0, sum/expected)
	}
	p.spread(m, ahead)
	return m
}

func (p *past) hour(i int) time.Time { return p.first.Add(time.Duration(i) * time.Hour) }

// shape makes the factors of groups of hours: their mean against the mean of all. Each is
// drawn to 1 by some more hours of the mean.
func (p *past) shape(factors []float64, group func(time.Time) int, zone *time.Location, more float64) {
	sums, weights := make([]float64, len(factors)), make([]float64, len(factors))
	var all, total float64
	for i, usd := range p.usd {
		w, g := p.weight(i), group(p.hour(i).In(zone))
		sums[g] += w * usd
		weights[g] += w
		all += w * usd
		total += w
	}
	if all <= 0 {
		return
	}
	mean := all / total
	for g := range factors {
		factors[g] = max(0, (sums[g]+more*mean)/((weights[g]+more)*mean))
	}
}

// factor is that of an hour of the calendar.
func (m *model) factor(t time.Time) float64 {
	local := t.In(m.zone)
	return m.hour[local.Hour()] * m.day[local.Weekday()]
}

// spread finds out how far the model was off, by blocks that are long enough to be
// independent, and short enough to be several and no longer than what is ahead.
func (p *past) spread(m *model, ahead time.Duration) {
	n := len(p.usd)
	size := 24
	switch {
	case n < 4:
		return
	case n < 24 || ahead < 6*time.Hour:
		size = 1
	case n < 4*24 || ahead < 24*time.Hour:
		size = 6
	}
	var squares, weights, squaredWeights, products, before float64
	count := n / size
	for b := range count {
		var off float64
		start := n - (b+1)*size
		for i := start; i < start+size; i++ {
			off += p.usd[i] - m.level*m.factor(p.hour(i))
		}
		w := p.weight(start + size/2)
		squares += w * off * off
		weights += w
		squaredWeights += w * w
		if b > 0 {
			products += w * off * before
		}
		before = off
	}
	m.block, m.blocks = float64(size), weights*weights/squaredWeights
	free := m.blocks - 1
	if n >= enoughForDays {
		free -= 3 // the weekdays took some of what was off
	}
	free = max(free, 2)
	variance := squares / weights * m.blocks / free
	if squares > 0 {
		m.likeness = min(max(products/squares, 0), 0.8)
	}
	m.sigma, m.t = math.Sqrt(variance), quantile(free)
}

// quantile is Student's t at 0.9, which is the end of an interval of 0.8, for so many
// degrees of freedom.
func quantile(free float64) float64 {
	const z, z3, z5 = 1.2816, 2.1049, 3.4571
	return z + (z3+z)/(4*free) + (5*z5+16*z3+3*z)/(96*free*free)
}

// off is half the interval of a sum that is expected: by how much it differs, and by how
// much the level is wrong. It is 0 without an interval.
func (m *model) off(expected float64) float64 {
	if m.t == 0 || m.level == 0 {
		return 0
	}
	blocks := expected / (m.level * m.block)
	return m.t * m.sigma * math.Sqrt(blocks*m.alike(blocks)+blocks*blocks/m.blocks*m.alike(m.blocks))
}

// alike is how much more the sum of so many blocks varies than if they were independent.
func (m *model) alike(blocks float64) float64 {
	r := m.likeness
	if blocks <= 1 {
		return 1
	}
	return (1+r)/(1-r) - 2*r*(1-math.Pow(r, blocks))/(blocks*(1-r)*(1-r))
}

// predict adds what is expected until the end of the period.
func (b *Book) predict(s *State, window string, zone *time.Location) {
	if float64(s.Spent)+float64(s.Suspense) >= float64(s.Limit) && s.Limit > 0 || s.Limit == 0 && s.UsedShare() > 0 {
		s.RunsOut, s.RunsOutEarliest, s.RunsOutLatest = s.AsOf, s.AsOf, s.AsOf
	}
	if b.History == nil || !s.AsOf.Before(s.End) {
		return
	}
	if s.Period == "minute" {
		s.predictMinute()
		return
	}
	p, spent := b.History.past(window)
	if !spent {
		if s.Spent == 0 { // no history, and nothing to make one of
			s.Forecast = Range{Known: true}
		}
		return
	}
	s.History = time.Duration(len(p.usd)) * time.Hour
	s.BurnPerHour = estimate(p.burn())
	m := p.fit(zone, s.End.Sub(s.AsOf))
	s.walk(m)
}

// predictMinute goes by the minute alone: rows know whole hours.
func (s *State) predictMinute() {
	over := s.AsOf.Sub(s.Start).Seconds()
	if over < 1 {
		return
	}
	rate := float64(s.Spent) / float64(money.Dollar) / over
	s.BurnPerHour = estimate(rate * 3600)
	s.Forecast = Range{Mid: s.Spent + estimate(rate*s.End.Sub(s.AsOf).Seconds()), Known: true}
	if need := float64(s.Limit-s.Spent-s.Suspense) / float64(money.Dollar); s.RunsOut.IsZero() && rate > 0 {
		if at := s.AsOf.Add(seconds(need / rate)); at.Before(s.End) {
			s.RunsOut = at
		}
	}
}

func seconds(n float64) time.Duration {
	return time.Duration(min(n, 1e9) * float64(time.Second))
}

// walk goes through the hours that are left, and notes when the limit is reached: by what
// is expected, and by the ends of the interval.
func (s *State) walk(m *model) {
	need := float64(s.Limit-s.Spent-s.Suspense) / float64(money.Dollar)
	sum := 0.0
	reached := [...]struct {
		at   *time.Time
		side float64
	}{{&s.RunsOut, 0}, {&s.RunsOutEarliest, 1}, {&s.RunsOutLatest, -1}}
	for at := s.AsOf; at.Before(s.End); {
		next := at.Truncate(time.Hour).Add(time.Hour)
		if next.After(s.End) {
			next = s.End
		}
		more := m.level * m.factor(at) * next.Sub(at).Hours()
		for _, r := range reached {
			if !r.at.IsZero() || r.side != 0 && m.t == 0 {
				continue
			}
			before, after := sum+r.side*m.off(sum), sum+more+r.side*m.off(sum+more)
			if after >= need && after > before {
				share := min(max((need-before)/(after-before), 0), 1)
				*r.at = at.Add(time.Duration(share * float64(next.Sub(at))))
			}
		}
		sum, at = sum+more, next
	}
	s.Forecast = Range{Mid: add(s.Spent, sum), Known: true}
	if m.t > 0 {
		s.Forecast.Bounded = true
		s.Forecast.Low, s.Forecast.High = add(s.Spent, max(0, sum-m.off(sum))), add(s.Spent, sum+m.off(sum))
	}
}

// add adds dollars that are estimated.
func add(p money.Pico, usd float64) money.Pico {
	sum := p + estimate(usd)
	if sum < p && usd > 0 {
		return math.MaxInt64
	}
	return sum
}

// estimate is an amount of estimated dollars, to the hundredth of a cent: more digits say
// nothing.
func estimate(usd float64) money.Pico {
	const step = float64(money.Dollar) / 10_000
	return money.Pico(min(math.Round(usd*10_000), math.MaxInt64/step-1)) * money.Pico(step)
}

// Until is what a window's tenant will spend between two times of which the first is not
// before now, in dollars: low, mid and high. Known is whether there was any history, and
// bounded whether there was enough for low and high.
func (h *History) Until(window string, from, end time.Time) (low, mid, high float64, known, bounded bool) {
	p, spent := h.past(window)
	if !spent {
		return 0, 0, 0, false, false
	}
	m := p.fit(time.UTC, end.Sub(h.now))
	for at := from; at.Before(end); {
		next := at.Truncate(time.Hour).Add(time.Hour)
		mid += m.level * m.factor(at) * next.Sub(at).Hours()
		at = next
	}
	return max(0, mid-m.off(mid)), mid, mid + m.off(mid), true, m.t > 0
}
