import java.io.IOException;
import java.io.Reader;
import java.lang.reflect.Field;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Properties;
import org.pytorch.serve.servingsdk.ModelServerEndpoint;
import org.pytorch.serve.util.TokenAuthorization;

/**
 * Replaces the tokens that TorchServe 0.12 makes at every start by given ones.
 *
 * <p>TorchServe looks for plugins after it has made its tokens and before it loads a model or opens a port. This one
 * adds no endpoint; it is there to be created at that moment. The system property {@code lexport.tokens} names a
 * properties file with the tokens {@code inference} and {@code management}, which is removed; a server without tokens
 * has no such property.
 *
 * <p>There is no token for the token API, which would replace the given tokens by short ones: it refuses everybody.
 */
public class LexportTokens extends ModelServerEndpoint {
    private static boolean done;

    public LexportTokens() {
        replaceOnce();
    }

    private static synchronized void replaceOnce() {
        if (done) {
            return;
        }
        done = true;
        String file = System.getProperty("lexport.tokens");
        if (file == null && !TokenAuthorization.isEnabled()) {
            return;
        }
        try {
            Properties given = take(Path.of(file == null ? "" : file));
            if (TokenAuthorization.isEnabled()) {
                replace(given.getProperty("inference"), given.getProperty("management"));
            }
        } catch (IOException | ReflectiveOperationException | RuntimeException error) {
            System.err.println("The given tokens cannot be used with this TorchServe, 0.12.0 is expected: " + error);
            System.exit(1);
        }
    }

    private static Properties take(Path file) throws IOException {
        Properties given = new Properties();
        try (Reader reader = Files.newBufferedReader(file, StandardCharsets.US_ASCII)) {
            given.load(reader);
        } finally {
            Files.deleteIfExists(file);
        }
        return given;
    }

    private static void replace(String inference, String management) throws IOException, ReflectiveOperationException {
        if (inference == null || management == null) {
            throw new IOException("inference or management is missing in the file of tokens");
        }
        Path keyFile = Path.of((String) field("keyFilePath").get(null));
        field("apiKey").set(null, null);
        field("inferenceKey").set(null, inference);
        field("managementKey").set(null, management);
        String json =
                "{\n"
                        + entry("management", management, field("managementExpirationTimeMinutes").get(null))
                        + ",\n"
                        + entry("inference", inference, field("inferenceExpirationTimeMinutes").get(null))
                        + "\n}\n";
        Path part =
                Files.createTempFile(
                        keyFile.getParent(),
                        "key_file",
                        ".part",
                        PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------")));
        Files.writeString(part, json, StandardCharsets.US_ASCII);
        Files.move(part, keyFile, StandardCopyOption.ATOMIC_MOVE);
    }

    private static Field field(String name) throws ReflectiveOperationException {
        Field found = TokenAuthorization.class.getDeclaredField(name);
        found.setAccessible(true);
        return found;
    }

    /** One kind's part of TorchServe's key file; a token has no character that JSON would escape. */
    private static String entry(String kind, String token, Object expiration) {
        return String.format(
                "  \"%s\": {\n    \"key\": \"%s\",\n    \"expiration time\": \"%s\"\n  }", kind, token, expiration);
    }
}
