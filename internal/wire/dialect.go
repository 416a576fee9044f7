package wire

// Dialect is how one model family spells its InvokeModel body, as data.
type Dialect struct {
	Name string
}

// insertion is where shape may insert members that the body lacks.
type insertion struct{}
