package router

// Model is what the catalogue knows of a model.
type Model struct{}

// Cascade is a compiled cascade.
type Cascade struct{}
