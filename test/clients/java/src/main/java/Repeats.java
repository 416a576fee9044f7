import java.net.URI;
import java.time.Duration;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import software.amazon.awssdk.services.bedrockruntime.BedrockRuntimeClient;
import software.amazon.awssdk.services.bedrockruntime.model.ContentBlock;
import software.amazon.awssdk.services.bedrockruntime.model.ConversationRole;
import software.amazon.awssdk.services.bedrockruntime.model.Message;

/** Asks each model of CASES once, by the SDK's defaults, and prints nothing: the server counts what is repeated. */
public final class Repeats {
  public static void main(String[] args) throws Exception {
    Duration timeout = Duration.ofMillis((long) (1000 * Double.parseDouble(System.getenv("READ_TIMEOUT"))));
    BedrockRuntimeClient client =
        BedrockRuntimeClient.builder()
            .endpointOverride(URI.create(System.getenv("AWS_ENDPOINT_URL_BEDROCK_RUNTIME")))
            .overrideConfiguration(c -> c.apiCallAttemptTimeout(timeout))
            .build();
    Message hello = Message.builder().role(ConversationRole.USER).content(ContentBlock.fromText("hello")).build();
    ExecutorService pool = Executors.newCachedThreadPool();
    for (String name : System.getenv("CASES").split(",")) {
      pool.submit(
          () -> {
            try {
              client.converse(r -> r.modelId(name).messages(hello));
            } catch (RuntimeException e) {
              // which one does not matter here
            }
          });
    }
    pool.shutdown();
    pool.awaitTermination(2, TimeUnit.MINUTES);
    System.exit(0);
  }
}
