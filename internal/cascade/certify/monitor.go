package certify

// Monitor watches a certified policy in service: it collects evidence that the
// mean loss has come above ε. While it has not, the capital ever reaches 1/δ
// with probability at most δ, so it may be looked at after every request.
// Make one with NewMonitor; it is not safe for concurrent use.
type Monitor struct {
	bettor Bettor
	delta  float64
}

// NewMonitor watches "the mean loss is at most maxLoss".
func NewMonitor(maxLoss, delta float64) *Monitor {
	// Betting that the mean of -l is below -ε is betting that l is above ε.
	return &Monitor{*NewBettor(-maxLoss, 1), delta}
}

// Observe adds the loss of one request sampled from all requests of the
// cascade, 0 when it was escalated. A sample of light answers only watches the
// loss per light answer, which is larger.
func (m *Monitor) Observe(loss float64) { m.bettor.Observe(-loss) }

// Alarm reports that the certificate is refuted. Once true, it stays true.
func (m *Monitor) Alarm() bool { return m.bettor.most >= 1/m.delta }
