package config

// source keeps where each value stood, for messages.
type source struct{}
