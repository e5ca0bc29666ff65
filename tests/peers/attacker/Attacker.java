// SPDX-License-Identifier: Apache-2.0
/* A client on TLS-Attacker. Each line of its input is one connection, in fields that a tab divides:
 *
 *     port, version (TLS12 or TLS13), certificate, key, another certificate, its key, the words of the trace
 *
 * The files are PEM. Its answer is a line: `served`, or how the server ended the connection.
 */

import de.rub.nds.modifiablevariable.util.Modifiable;
import de.rub.nds.tlsattacker.core.config.Config;
import de.rub.nds.tlsattacker.core.config.delegate.CertificateDelegate;
import de.rub.nds.tlsattacker.core.connection.OutboundConnection;
import de.rub.nds.tlsattacker.core.constants.*;
import de.rub.nds.tlsattacker.core.protocol.ProtocolMessage;
import de.rub.nds.tlsattacker.core.protocol.message.*;
import de.rub.nds.tlsattacker.core.state.State;
import de.rub.nds.tlsattacker.core.workflow.DefaultWorkflowExecutor;
import de.rub.nds.tlsattacker.core.workflow.WorkflowTrace;
import de.rub.nds.tlsattacker.core.workflow.WorkflowTraceResultUtil;
import de.rub.nds.tlsattacker.core.workflow.action.*;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.security.Security;
import java.util.List;
import org.bouncycastle.jce.provider.BouncyCastleProvider;

public class Attacker {
    private static final String ALIAS = "client";
    private static final int PATIENCE = 5_000; // milliseconds
    private static final String ANSWER = "hello from the server";
    private static final String S_SERVER_ANSWER = "Ciphers supported";

    public static void main(String[] arguments) throws Exception {
        // TLS-Attacker would log each message to the standard output.
        System.setProperty("log4j2.loggerContextFactory", "org.apache.logging.log4j.simple.SimpleLoggerContextFactory");
        System.setProperty("org.apache.logging.log4j.simplelog.level", "OFF");
        Security.addProvider(new BouncyCastleProvider());
        BufferedReader input = new BufferedReader(new InputStreamReader(System.in));
        for (String line; (line = input.readLine()) != null; ) {
            System.out.println(new Connection(line.split("\t", -1)).run());
            System.out.flush();
        }
    }

    /** One connection, as a line of the input has it. */
    private static class Connection {
        private final String[] fields;
        private final Config config = new Config();
        private final boolean isTls13;

        Connection(String[] fields) {
            this.fields = fields;
            isTls13 = fields[1].equals("TLS13");
            OutboundConnection way = new OutboundConnection(ALIAS, Integer.valueOf(fields[0]), "127.0.0.1");
            way.setTimeout(PATIENCE);
            config.setDefaultClientConnection(way);
            choose();
            config.setAutoAdjustCertificate(false);
            if (!fields[2].isEmpty()) {
                present(fields[2], fields[3]);
            }
            config.setStopReceivingAfterFatal(true);
        }

        /** Offer what each server takes. */
        private void choose() {
            ProtocolVersion version = ProtocolVersion.valueOf(fields[1]);
            config.setHighestProtocolVersion(version);
            config.setSupportedVersions(version);
            config.setDefaultClientSupportedCipherSuites(List.of(isTls13
                    ? CipherSuite.TLS_AES_128_GCM_SHA256 : CipherSuite.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256));
            config.setDefaultSelectedCipherSuite(config.getDefaultClientSupportedCipherSuites().get(0));
            config.setDefaultClientNamedGroups(NamedGroup.SECP256R1);
            config.setDefaultClientKeyShareNamedGroups(NamedGroup.SECP256R1);
            config.setDefaultClientSupportedSignatureAndHashAlgorithms(SignatureAndHashAlgorithm.ECDSA_SHA256);
            config.setAddSupportedVersionsExtension(isTls13);
            config.setAddKeyShareExtension(isTls13);
            config.setAddPSKKeyExchangeModesExtension(isTls13);
            config.setAddECPointFormatExtension(true);
            config.setAddEllipticCurveExtension(true);
            config.setAddSignatureAndHashAlgorithmsExtension(true);
            config.setAddRenegotiationInfoExtension(!isTls13);
        }

        private void present(String certificate, String key) {
            CertificateDelegate delegate = new CertificateDelegate();
            delegate.setCertificate(certificate);
            delegate.setKey(key);
            delegate.applyDelegate(config);
        }

        /** Makes the connection. The executor would copy a whole trace by way of XML, so each action is run here. */
        String run() {
            State state = new State(config, new WorkflowTrace());
            WorkflowTrace done = new WorkflowTrace();
            DefaultWorkflowExecutor executor = new DefaultWorkflowExecutor(state);
            try {
                executor.initAllLayer();
                for (String word : fields[6].split(" ")) {
                    if (!changes(word) && !executor.isReceivedFatalAlert()) {
                        ConnectionBoundAction action = action(word);
                        action.setConnectionAlias(ALIAS);
                        done.addTlsAction(action);
                        action.execute(state);
                    }
                }
            } catch (RuntimeException | IOException error) {
                return "the client fails: " + error;
            } finally {
                executor.closeConnection();
            }
            return answer(done);
        }

        /** Changes the configuration. Returns false for a word that is an action. */
        private boolean changes(String word) {
            switch (word) {
                case "other" -> present(fields[4], fields[5]);
                case "share" -> config.setDefaultClientKeyShareNamedGroups(NamedGroup.SECP256R1);
                case "no-share" -> config.setDefaultClientKeyShareNamedGroups(List.of());
                default -> {
                    return false;
                }
            }
            return true;
        }

        private ConnectionBoundAction action(String word) {
            return switch (word) {
                case "retry" -> new ReceiveTillAction(new ServerHelloMessage());
                case "answer" -> new ReceiveTillAction(isTls13 ? new FinishedMessage() : new ServerHelloDoneMessage());
                case "end" -> new ReceiveTillAction(new FinishedMessage());
                case "reply" -> new ReceiveTillAction(new AlertMessage());
                case "again" -> new RenegotiationAction();
                case "no-secret" -> new ChangeMasterSecretAction(new byte[0]);
                default -> new SendAction(message(word));
            };
        }

        private ProtocolMessage message(String word) {
            return switch (word) {
                case "hello" -> hello();
                case "certificate" -> new CertificateMessage();
                case "empty" -> empty();
                case "key" -> new ECDHClientKeyExchangeMessage();
                case "verify" -> new CertificateVerifyMessage();
                case "ccs" -> new ChangeCipherSpecMessage();
                case "finished" -> new FinishedMessage();
                case "request" -> request();
                default -> throw new IllegalArgumentException(word);
            };
        }

        private ClientHelloMessage hello() {
            ClientHelloMessage message = new ClientHelloMessage(config);
            if (!isTls13) {
                message.setSessionId(Modifiable.explicit(new byte[0])); // a renegotiation would resume the first session
            }
            return message;
        }

        private static CertificateMessage empty() {
            CertificateMessage message = new CertificateMessage();
            message.setCertificatesListBytes(Modifiable.explicit(new byte[0]));
            message.setCertificatesListLength(Modifiable.explicit(0));
            return message;
        }

        private static ApplicationMessage request() {
            ApplicationMessage message = new ApplicationMessage();
            message.setData(Modifiable.explicit("GET / HTTP/1.0\r\n\r\n".getBytes()));
            return message;
        }
    }

    /** Returns the name of an alert. TLS-Attacker has the keys for a part of the encrypted ones only. */
    private static String name(AlertMessage alert) {
        AlertDescription description = AlertDescription.getAlertDescription(alert.getDescription().getValue());
        boolean isReadable = description != null && AlertLevel.getAlertLevel(alert.getLevel().getValue()) != AlertLevel.UNDEFINED;
        return isReadable ? description.name().toLowerCase() : "that is encrypted";
    }

    private static String answer(WorkflowTrace trace) {
        StringBuilder data = new StringBuilder();
        String end = "closed";
        for (ProtocolMessage message : WorkflowTraceResultUtil.getAllReceivedMessages(trace)) {
            if (message instanceof ApplicationMessage application) {
                data.append(new String(application.getData().getValue()));
            } else if (message instanceof AlertMessage alert && alert.getDescription().getValue() != 0) {
                end = "alert " + name(alert);
            }
        }
        String text = data.toString();
        if (text.contains(ANSWER) || text.contains(S_SERVER_ANSWER)) {
            return "served";
        }
        return text.startsWith("HTTP/1.1 400") ? "answered 400" : end;
    }
}
