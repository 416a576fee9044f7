package capability

// What Claude's generations have in common, by what changed. Sources: the user guide's pages on Claude's messages,
// thinking and structured output, and the flags of LiteLLM's price map, as of Date.
var (
	claude3  = Model{Family: "claude", Schema: SchemaTool, Pictures: true, Documents: true, TopK: "top_k"}.tools()
	claude35 = claude3.cached()
	claude37 = claude35.thinks(ThinkingBudget)
	claude45 = claude37.native().once().hour()
	claude46 = claude45.thinks(ThinkingAdaptive, "low", "medium", "high").noPrefill()
	claude47 = claude46.thinks(ThinkingAdaptive, "low", "medium", "high", "xhigh").fixed()
	claude48 = claude47.turns()
	claude55 = claude48.always()
)

// gpt are OpenAI's own generations from 5 on. AWS's pages on Chat Completions and Responses name 5.6 and later, and
// LiteLLM's adapters say what they refuse there.
var gpt = Model{
	Family: "openai", Schema: SchemaNative, Thinking: ThinkingEffort, Efforts: efforts[:6], Sampling: SamplingNone,
	NoStop: true, Pictures: true, Documents: true, AnyTool: true, NamedTool: true, StrictTools: true,
}

// rows are the models, by the beginning of their id.
var rows = []row{
	{"anthropic.", claude46}, // what is not known is likely to be new, and takes no less than this
	{"anthropic.claude-v", Model{Family: "claude", TopK: "top_k"}},
	{"anthropic.claude-instant", Model{Family: "claude", TopK: "top_k"}},
	{"anthropic.claude-3-", claude3},
	{"anthropic.claude-3-5-haiku", claude35},
	{"anthropic.claude-3-5-sonnet-20241022", claude35},
	{"anthropic.claude-3-7-", claude37},
	{"anthropic.claude-sonnet-4-", claude37},
	{"anthropic.claude-opus-4-", claude37},
	{"anthropic.claude-opus-4-1", claude37.once()},
	{"anthropic.claude-haiku-4-5", claude45},
	{"anthropic.claude-sonnet-4-5", claude45},
	{"anthropic.claude-opus-4-5", claude45},
	{"anthropic.claude-sonnet-4-6", claude46},
	{"anthropic.claude-opus-4-6", claude46.thinks(ThinkingAdaptive, "low", "medium", "high", "max")},
	{"anthropic.claude-opus-4-7", claude47},
	{"anthropic.claude-opus-4-8", claude48},
	{"anthropic.claude-opus-5", claude48},
	{"anthropic.claude-sonnet-5", claude48},
	{"anthropic.claude-opus-5-5", claude55.unforced()},
	{"anthropic.claude-sonnet-5-5", claude55.unforced()},
	{"anthropic.claude-haiku-5", claude48},
	{"anthropic.claude-fable", claude55},
	{"anthropic.claude-fable-5-1", claude55.unforced()},
	{"anthropic.claude-mythos", claude55},

	{"amazon.nova-", Model{
		Family: "nova", Schema: SchemaTool, AnyTool: true, NamedTool: true, CachePoints: true, ResultStatus: true,
		Pictures: true, Documents: true, TopK: "inferenceConfig.topK",
	}},
	{"amazon.nova-2-", Model{
		Family: "nova", Schema: SchemaTool, AnyTool: true, NamedTool: true, CachePoints: true, ResultStatus: true,
		Pictures: true, Documents: true, TopK: "inferenceConfig.topK", Thinking: ThinkingNova,
	}},
	{"amazon.nova-micro", Model{
		Family: "nova", Schema: SchemaTool, AnyTool: true, NamedTool: true, CachePoints: true, ResultStatus: true,
		TopK: "inferenceConfig.topK",
	}},
	{"amazon.titan-", Model{Family: "titan", Documents: true}},
	{"meta.llama", Model{Family: "llama", Documents: true}},
	{"meta.llama3-2-11b", Model{Family: "llama", Pictures: true, Documents: true}},
	{"meta.llama3-2-90b", Model{Family: "llama", Pictures: true, Documents: true}},
	{"meta.llama4", Model{Family: "llama", Pictures: true, Documents: true}},
	{"mistral.", Model{
		Family: "mistral", Schema: SchemaTool, AnyTool: true, NamedTool: true, Documents: true, Pictures: true,
		TopK: "top_k",
	}},
	{"mistral.mi", Model{
		Family: "mistral", Schema: SchemaNative, AnyTool: true, NamedTool: true, Documents: true, Pictures: true,
		TopK: "top_k",
	}},
	{"mistral.mistral-", Model{
		Family: "mistral", Schema: SchemaTool, AnyTool: true, NamedTool: true, Documents: true, TopK: "top_k",
	}},
	{"mistral.mixtral-", Model{Family: "mistral", Documents: true, TopK: "top_k"}},
	{"cohere.", Model{Family: "cohere", Documents: true, TopK: "k"}},
	{"ai21.", Model{Family: "jamba", Documents: true}},
	{"openai.gpt-oss", Model{
		Family: "openai", Schema: SchemaNative, Thinking: ThinkingEffort, AlwaysThinks: true, Chat: true,
	}},
	{"openai.gpt-", gpt.ownPaths()},
	{"openai.gpt-5.4", gpt.below("/openai/v1")}, // and 5.5: on the mantle host only
	{"openai.gpt-5.5", gpt.below("/openai/v1")},
	{"xai.", Model{
		Family: "grok", Schema: SchemaNative, Thinking: ThinkingEffort, AlwaysThinks: true, NoStop: true, Pictures: true,
		Chat: true, MantleBase: "/openai/v1",
	}},
	{"qwen.", Model{Family: "qwen", Schema: SchemaNative}},
	{"qwen.qwen3-vl", Model{Family: "qwen", Schema: SchemaNative, Pictures: true}},
	{"deepseek.", Model{Family: "deepseek", Schema: SchemaNative}},
	{"deepseek.r1", Model{Family: "deepseek", Documents: true}},
	{"moonshot", Model{Family: "kimi", Schema: SchemaNative}},
	{"minimax.", Model{Family: "minimax", Schema: SchemaNative}},
	{"google.gemma", Model{Family: "gemma", Schema: SchemaNative, Pictures: true}},
	{"google.gemma-4", Model{Family: "gemma", Schema: SchemaNative, Pictures: true, MantleBase: "/openai/v1"}},
	{"nvidia.", Model{Family: "nemotron", Schema: SchemaNative, Pictures: true}},
	{"zai.", Model{Family: "glm"}},
	{"writer.", Model{Family: "palmyra"}},
}

func (m Model) tools() Model {
	m.AnyTool, m.NamedTool, m.OneCall, m.ResultStatus, m.ResultImages = true, true, true, true, true
	return m
}

func (m Model) cached() Model { m.CachePoints = true; return m }

func (m Model) hour() Model { m.LongCache = true; return m }

func (m Model) thinks(how Thinking, levels ...string) Model {
	m.Thinking, m.Efforts = how, levels
	return m
}

func (m Model) ownPaths() Model {
	m.Chat, m.Responses, m.ChatOrTools, m.NoMaxTokens = true, true, true, true
	return m.below("/openai/v1")
}

func (m Model) below(base string) Model { m.MantleBase, m.NoMaxTokens = base, true; return m }

func (m Model) native() Model { m.Schema, m.StrictTools = SchemaNative, true; return m }

func (m Model) once() Model { m.Sampling = SamplingOne; return m }

func (m Model) noPrefill() Model { m.NoPrefill = true; return m }

func (m Model) fixed() Model { m.Sampling = SamplingNone; return m }

func (m Model) turns() Model { m.SystemTurns = true; return m }

func (m Model) always() Model { m.AlwaysThinks = true; return m }

func (m Model) unforced() Model { m.AnyTool, m.NamedTool = false, false; return m }
